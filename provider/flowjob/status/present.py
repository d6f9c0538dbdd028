"""What a flow run that goes on does now, at a glance: (job, pods) -> ``Present``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import sentence_of
from flowjob.status.job import is_active, is_being_deleted
from flowjob.status.observation import Observation, created_at, is_final, is_pod_of
from flowjob.status.start import Start, is_suspended


@dataclass(frozen=True)
class Present:
    """What the cluster shows of a flow run now.

    :param pod: its youngest pod, if it has one; of several that go on, one of them.
    :param node: the pod's node, once it has one.
    :param pods: how many of its pods have not ended.
    :param told: what there is to say of it, such as what it waits for; None: it runs.
    """

    pod: str | None = None
    node: str | None = None
    pods: int = 0
    told: str | None = None


def present_of(job: KubernetesObject | None, pods: Iterable[KubernetesObject]) -> Present:
    """Say what a flow run does now.

    :param job: its Job; None: there is none.
    :param pods: pods with its labels; those of others are left out.
    """
    if job is None:
        return Present(told="the Job is gone")
    observation = Observation(job)
    observation.take_listed([pod for pod in pods if is_pod_of(job, pod)])
    found = sorted(observation.pods.values(), key=created_at)
    going_on = [pod for pod in found if not is_final(pod)]
    youngest = next(reversed(going_on or found), None)
    return Present(
        pod=youngest["metadata"]["name"] if youngest else None,
        node=youngest["spec"].get("nodeName") if youngest else None,
        pods=len(going_on),
        told=_told_of(observation, has_pod=bool(going_on)),
    )


def _told_of(observation: Observation, *, has_pod: bool) -> str | None:
    job = observation.job
    if is_being_deleted(job):
        return "the Job is being deleted"
    if not is_active(job):
        return "the Job has ended, and Airflow has still to hear of it"
    if is_suspended(observation):
        return "the Job is suspended"
    start = Start()
    start.see(observation)
    if start.has_started:
        return None if has_pod else "waits for its next attempt"
    if cause := start.diagnose():
        return sentence_of(cause.message, (), cause.remedy)
    return "the pod is being started" if has_pod else "the Job has no pod yet"
