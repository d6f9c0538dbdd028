"""What there is to tell of a flow run on its way, one line a change.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import has_many_pods
from flowjob.status.observation import (
    Observation,
    created_at,
    flow_container_status,
    has_ended,
    running_beside_ended_flow,
    terminated_state,
)
from flowjob.status.queue import queue_of
from flowjob.status.start import diagnose_pod_start, is_suspended
from flowjob.status.warnings import pod_warnings

# Of a Job with many pods, so many are told of one by one, and so many of the others' failures.
_TOLD_PODS = 10
_TOLD_FAILURES = 10
# Of the pods beyond, a line comes whenever another such part of them has got on.
_PARTS = 10


class Progress:
    """Remembers what was told of a flow run.

    It is shown what is new, and costs by that: a Job may have thousands of pods.
    """

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._attempts = _Attempts()
        # By uid, the pods of which one by one is told, and those that failed beside them.
        self._told_pods: set[str] = set()
        self._told_failures: set[str] = set()
        self._summary: _Summary | None = None

    def news(self, news: Observation) -> Iterator[str]:
        """Yield the lines that say what is new.

        :param news: the Job, and the pods that are not as they were.
        """
        job = news.job
        yield from self._changed("job", _suspended_line(job) if is_suspended(news) else "")
        has_many = has_many_pods(job)
        for uid, pod in sorted(news.pods.items(), key=lambda entry: created_at(entry[1])):
            if not has_many or self._is_told_of(uid):
                yield from self._news_of_pod(job, uid, pod)
            else:
                yield from self._failure_among_many(uid, pod)
        if self._summary is not None:
            yield from self._summary.news(job, is_last=has_ended(news))

    def _changed(self, about: str, line: str) -> Iterator[str]:
        if self._told.get(about, "") != line:
            self._told[about] = line
            if line:
                yield line

    def _is_told_of(self, uid: str) -> bool:
        if len(self._told_pods) < _TOLD_PODS:
            self._told_pods.add(uid)
        return uid in self._told_pods

    def _news_of_pod(self, job: KubernetesObject, uid: str, pod: KubernetesObject) -> Iterator[str]:
        # Pods that are there side by side by design are no attempts of one another.
        is_one = not has_many_pods(job)
        attempt = self._attempts.count(uid, pod, with_earlier=is_one)
        backoff_limit = (job.get("spec") or {}).get("backoffLimit") if is_one else None
        yield from self._changed(uid, _pod_line(pod, attempt, backoff_limit))
        yield from self._changed(f"{uid} beside", _line_of_others(pod))
        for container, line in pod_warnings(pod):
            yield from self._changed(f"{uid} of {container}", line)

    def _failure_among_many(self, uid: str, pod: KubernetesObject) -> Iterator[str]:
        """Tell of a pod that is not told of one by one, only where it failed."""
        if self._summary is None:
            self._summary = _Summary()
            yield (
                "Of further pods, it is told how many run and end, "
                f"and which {_TOLD_FAILURES} fail first"
            )
        has_failed = (terminated_state(pod) or {}).get("exitCode") or _phase(pod) == "Failed"
        is_told = uid in self._told_failures or len(self._told_failures) >= _TOLD_FAILURES
        if has_failed and not is_told:
            self._told_failures.add(uid)
            yield _pod_line(pod, 1, None)


class _Attempts:
    """Counts the attempts of a Job that makes one pod after the other, in the order they come."""

    def __init__(self) -> None:
        self._total = 0
        # By pod: the attempts before it, and its own.
        self._of_pods: dict[str, tuple[int, int]] = {}

    def count(self, uid: str, pod: KubernetesObject, *, with_earlier: bool) -> int:
        """Return which attempt a pod is at.

        :param with_earlier: whether the pods before it count.
        """
        before, own = self._of_pods.get(uid, (self._total, 0))
        attempts = 1 + (flow_container_status(pod) or {}).get("restartCount", 0)
        self._total += attempts - own
        self._of_pods[uid] = before, attempts
        return int(attempts + (before if with_earlier else 0))


class _Summary:
    """Says of a Job with many pods how many have got how far, as the Job counts them."""

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._told = ""

    def news(self, job: KubernetesObject, *, is_last: bool) -> Iterator[str]:
        """Yield a line where another part of the pods has got on.

        :param is_last: whether the Job is over: a line comes if the last one is not true any more.
        """
        status, spec = job.get("status") or {}, job.get("spec") or {}
        running, succeeded, failed = (
            status.get(name) or 0 for name in ("ready", "succeeded", "failed")
        )
        total = spec.get("completions") or spec.get("parallelism") or 1
        counts = {
            "started": running + succeeded + failed,
            "succeeded": succeeded,
            "failed": failed,
        }
        reached = {name: count * _PARTS // total for name, count in counts.items()}
        # Numbers that go down, such as when pods are replaced, are not told each time.
        has_got_on = any(part > self._reached.get(name, 0) for name, part in reached.items())
        line = f"Of {total} pods {running} run, {succeeded} have succeeded and {failed} have failed"
        if (has_got_on or is_last) and line != self._told:
            self._reached = {
                name: max(reached[name], self._reached.get(name, 0)) for name in reached
            }
            self._told = line
            yield line


def _suspended_line(job: KubernetesObject) -> str:
    queue = queue_of(job)
    waits = "waited for" if queue is None else f"waits in queue {queue}"
    return f"The Job {job['metadata']['name']} is suspended, and {waits}"


def _pod_line(pod: KubernetesObject, attempt: int, backoff_limit: int | None) -> str:
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    state = (flow_container_status(pod) or {}).get("state") or {}
    of = f" of {backoff_limit + 1}" if backoff_limit else ""
    which = f"Pod {name}" + (f", attempt {attempt}{of}," if attempt > 1 else "")
    if (ended := terminated_state(pod)) is not None:
        return f"{which} ended its flow with exit code {ended['exitCode']}"
    if "running" in state:
        return f"{which} runs the flow on node {node}"
    if (cause := diagnose_pod_start(pod)) is not None:
        return f"{which} waits: {cause.message}"
    return f"{which} is scheduled to node {node}" if node else f"{which} is created"


def _line_of_others(pod: KubernetesObject) -> str:
    names = ", ".join(running_beside_ended_flow(pod))
    return (
        f"The flow has ended, and these containers of its pod still run: {names}" if names else ""
    )


def _phase(pod: KubernetesObject) -> str:
    return str((pod.get("status") or {}).get("phase") or "")
