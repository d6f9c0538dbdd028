"""Wait for a flow run to end, by a watch of its Job and one of its pods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowjob.cluster import ApiError, Cluster, jobs_path, pods_path
from flowjob.exceptions import ClusterError
from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.job_status import KubernetesObject
from flowjob.logs import FlowLog
from flowjob.outcome import Observation, Outcome, has_ended, outcome_of
from flowjob.watch import Changed, Listed, list_and_watch


async def wait_for_outcome(
    cluster: Cluster, job: KubernetesObject, emit: Callable[[str], None]
) -> Outcome:
    """Wait until the Job has ended, and emit the lines of its flow containers meanwhile.

    :param cluster: where the Job is.
    :param job: the Job as it was created or found.
    :param emit: takes each line of the log.
    :raises ClusterError: the right to watch is missing, or the API server is away for too long.
    """
    flow_log = FlowLog(cluster, emit)
    try:
        observation = await _watch(cluster, job, flow_log.see)
        await flow_log.finish()
    except ApiError as error:
        raise ClusterError(f"cannot watch the Job {job['metadata']['name']!r}: {error}") from None
    finally:
        await flow_log.close()
    return outcome_of(observation)


async def wait_until_gone(cluster: Cluster, job: KubernetesObject) -> None:
    """Wait until a Job that is being deleted, and each of its pods, is gone.

    :raises ClusterError: the right to watch is missing, or the API server is away for too long.
    """
    observation = Observation(job)
    try:
        async for event in list_and_watch(cluster, *_selection(jobs_path, job)):
            _see_job(observation, event)
            if observation.job_gone:
                return
    except ApiError as error:
        raise ClusterError(f"cannot watch the Job {job['metadata']['name']!r}: {error}") from None


async def _watch(
    cluster: Cluster, job: KubernetesObject, on_change: Callable[[Observation], None]
) -> Observation:
    observation = Observation(job)
    pods_of_job, selector = _selection(pods_path, job)

    async def watch_job() -> None:
        async for event in list_and_watch(cluster, *_selection(jobs_path, job)):
            _see_job(observation, event)
            if has_ended(observation):
                return

    async def watch_pods() -> None:
        async for event in list_and_watch(cluster, pods_of_job, selector):
            _see_pods(observation, event)
            on_change(observation)

    watches = [asyncio.create_task(watch_job()), asyncio.create_task(watch_pods())]
    try:
        done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        for watch in done:
            watch.result()
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
    # The watch of the pods may lag behind the Job's; what it missed is in the list.
    pods = await cluster.request("GET", pods_of_job, {"labelSelector": selector})
    _see_pods(observation, Listed(pods["items"]))
    on_change(observation)
    return observation


def _selection(path: Callable[[str], str], job: KubernetesObject) -> tuple[str, str]:
    """Return path and label selector of what belongs to the Job's flow run."""
    flow_run_id = job["metadata"]["labels"][FLOW_RUN_ID_LABEL]
    return path(job["metadata"]["namespace"]), f"{FLOW_RUN_ID_LABEL}={flow_run_id}"


def _see_job(observation: Observation, event: Listed | Changed) -> None:
    """Take the Job from an event; another Job, or none, in its place means that it is gone."""
    uid = (observation.job or {})["metadata"]["uid"]
    jobs = event.items if isinstance(event, Listed) else [event.object]
    same = [job for job in jobs if job["metadata"]["uid"] == uid]
    if same:
        observation.job = same[0]
    if isinstance(event, Listed):
        observation.job_gone = not same
    elif same and event.gone:
        observation.job_gone = True


def _see_pods(observation: Observation, event: Listed | Changed) -> None:
    """Take pods from an event; one that is gone stays as it was last seen."""
    for pod in event.items if isinstance(event, Listed) else [event.object]:
        observation.pods[pod["metadata"]["uid"]] = pod
