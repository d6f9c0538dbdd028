"""``Diagnosis``: one cause, and the words that the diagnoses of this room have in common.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from flowjob.kubernetes_object import KubernetesObject, all_containers
from flowjob.status.job import is_being_deleted
from flowjob.status.observation import (
    completion_index,
    container_of,
    container_status,
    flow_container_name,
)
from flowjob.text import is_text, one_line

# How a container is said to have ended that never ran.
COULD_NOT_START = {"StartError", "ContainerCannotRun"}
# What stays as it is, however long one waits, as the spec itself is wrong; by its reason, or by the
# words of one that may also tell of what passes.
_FINAL = {"InvalidImageName", "ErrImageNeverPull"}
_FINAL_WORDS = re.compile(r"runAsNonRoot")
# What another attempt may find otherwise, as a mount or a runtime may be late, but no third one.
_START_ERRORS = COULD_NOT_START | {"RunContainerError"}
_START_WORDS = re.compile(
    r"no such file|executable file not found|permission denied|exec format error|is a directory"
)
# Exit codes of a container that is told to end: SIGKILL and SIGTERM.
_KILLED = 137
_TOLD_TO_END = (_KILLED, 143)

# By the words of Kubernetes, what is well known to help; the first that fits is told.
_REMEDIES = (
    (r"image .*: not found$", "check the image's name and tag"),
    (
        r"image .*(40[13] |authoriz|denied|forbidden)",
        "name a Secret with the registry's credentials in the pod's imagePullSecrets",
    ),
    (r"untolerated taint", "add a toleration of the taint to the pod"),
    (r"Insufficient ", "lower the pod's resources.requests, or add a node with more room"),
    (
        r"runAsNonRoot",
        "set runAsUser in the securityContext, or build the image with a USER of its own",
    ),
    (r"ErrImageNeverPull|pull policy of Never", "bring the image to the node, or allow its pull"),
    (r"exceeded quota", "wait until the namespace has room, or raise its ResourceQuota"),
    (
        r"violates PodSecurity",
        "set the securityContext that is asked for, or have the namespace's policy changed",
    ),
    (r"serviceaccount .* not found", "create the service account"),
    (r"Pod was active on the node longer", "raise the pod's activeDeadlineSeconds"),
)


@dataclass(frozen=True)
class Diagnosis:
    """One cause.

    :param reason: Kubernetes' own word for it, such as ``OOMKilled``.
    :param message: what happened, as a sentence that begins with it; it is about the flow where it
        names nothing else.
    :param remedy: what to do about it, where that is well known.
    :param facts: what else there is to know, a sentence each.
    :param pod: the pod that it is about, if it is about one.
    :param node: the pod's node.
    :param container: the container that it is about, if it is about one.
    :param final_after: attempts in vain after which it will not go away by itself; None (default):
        it may, however many there were.
    """

    reason: str
    message: str
    remedy: str | None = None
    facts: tuple[str, ...] = ()
    pod: str | None = None
    node: str | None = None
    container: str | None = None
    final_after: int | None = None

    def __str__(self) -> str:
        return sentence_of(self.message, self.facts, self.remedy)


def sentence_of(message: str, facts: Sequence[str], remedy: str | None) -> str:
    """Return one sentence of a cause, its further facts, and what helps."""
    told = "; ".join((message, *facts))
    return f"{told} ({remedy})" if remedy else told


def container_cause(pod: KubernetesObject, name: str, state: KubernetesObject) -> Diagnosis:
    """Say why a container ended.

    :param pod: the container's pod.
    :param name: the container's name.
    :param state: its terminated state, of which the exit code is not 0.
    """
    who = subject_of(pod, name)
    reason, code = state.get("reason") or "Error", state["exitCode"]
    told = _message_of(pod, name, state)
    remedy: str | None = None
    facts: tuple[str, ...] = ()
    if reason == "OOMKilled":
        message = f"{who}ran out of memory{tell_memory_limit(pod, name)}"
        remedy = "raise its resources.limits.memory"
    elif reason in COULD_NOT_START:
        message = f"{who}could not start{told}"
        remedy = "check its command and image"
    elif is_being_deleted(pod) and code in _TOLD_TO_END and not _count_restarts(pod, name):
        reason, message = "PodDeleted", f"{who}ended because its pod was deleted"
    else:
        message = f"{who}ended with exit code {code}{_kind_of_end(code, reason)}{told}"
        if code == _KILLED and tell_memory_limit(pod, name) and not is_being_deleted(pod):
            # A runtime that is busy misses why the kernel killed it.
            remedy = "if nobody killed it, it ran out of memory: raise its resources.limits.memory"
        if is_being_deleted(pod) and pod["spec"].get("restartPolicy") == "Never":
            # Else the Job itself deletes it at its limit of restarts.
            facts = ("its pod was deleted",)
    return Diagnosis(
        reason,
        message,
        remedy,
        facts,
        pod=pod["metadata"]["name"],
        node=pod["spec"].get("nodeName"),
        container=name,
        final_after=final_after(reason, told),
    )


def subject_of(pod: KubernetesObject, name: str) -> str:
    """Return how a sentence about a container begins: empty where it is the flow's own.

    :param pod: the container's pod; in an Indexed Job, its index is named.
    :param name: the container's name.
    """
    index = completion_index(pod)
    whose = "" if index is None else f"index {index}"
    if name == flow_container_name(pod):
        return f"{whose} " if whose else ""
    is_init = any(each["name"] == name for each in pod["spec"].get("initContainers") or [])
    kind = "init container" if is_init else "container"
    return f"{kind} {name!r} of {whose} " if whose else f"{kind} {name!r} "


def pod_subject_of(pod: KubernetesObject) -> str:
    """Return how a sentence about a pod begins; in an Indexed Job, its index is named."""
    index = completion_index(pod)
    return "the pod" if index is None else f"the pod of index {index}"


def _message_of(pod: KubernetesObject, name: str, state: KubernetesObject) -> str:
    """Return what a container left as its termination message, as the end of a sentence."""
    text = (state.get("message") or "").strip()
    if not text:
        return ""
    if not is_text(text):
        return ": its termination message is no text"
    if container_of(pod, name).get("terminationMessagePolicy") == "FallbackToLogsOnError":
        # It may be the end of the log: what an error says stands last, and the rest is told there.
        text = text.splitlines()[-1].strip()
    return f": {one_line(text)}"


def final_after(reason: str, told: str) -> int | None:
    """Return how many attempts in vain show that a container can never start; None: none do.

    A start that fails for another cause, such as a runtime that is overloaded, is the Job's own to
    try again, as often as its ``backoffLimit`` says.

    :param reason: Kubernetes' word for what keeps it from starting.
    :param told: what Kubernetes says of it.
    """
    if reason in _FINAL or _FINAL_WORDS.search(told):
        return 1
    return 2 if reason in _START_ERRORS and _START_WORDS.search(told) else None


def remedy_of(told: str) -> str | None:
    """Return what is well known to help, None where nothing is.

    :param told: what Kubernetes says of the cause.
    """
    return next((remedy for words, remedy in _REMEDIES if re.search(words, told)), None)


def name_of(pod: KubernetesObject) -> str:
    """Name a pod and, in an Indexed Job, its index."""
    index = completion_index(pod)
    return f"pod {pod['metadata']['name']!r}" + (f" (index {index})" if index is not None else "")


def place_of(pod: KubernetesObject) -> str:
    """Name a pod and its node."""
    node = pod["spec"].get("nodeName")
    return name_of(pod) + (f" on node {node!r}" if node else "")


def tell_restarts(status: KubernetesObject) -> str:
    """Return how often a container was started again.

    :param status: the container's status.
    """
    return f"restarts so far: {status['restartCount']}"


def tell_memory_limit(pod: KubernetesObject, name: str) -> str:
    """Return a container's memory limit in parentheses, empty where it has none."""
    for container in all_containers(pod["spec"]):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if container["name"] == name and limit:
            return f" (limit {limit})"
    return ""


def _count_restarts(pod: KubernetesObject, name: str) -> int:
    count: int = (container_status(pod, name) or {}).get("restartCount", 0)
    return count


def _kind_of_end(code: int, reason: str) -> str:
    """Return the signal that ended a container, or Kubernetes' word where it says something."""
    try:
        # A shell adds 128 to its number.
        return f" ({signal.Signals(code - 128).name})"
    except ValueError:
        return "" if reason == "Error" else f" ({reason})"
