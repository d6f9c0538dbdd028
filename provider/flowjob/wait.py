"""Wait for a flow run: to its end, or until its Job is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from flowjob.cluster import Cluster
from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.flow_run_watch import FlowRunWatch
from flowjob.job_status import KubernetesObject
from flowjob.logs import FlowLog
from flowjob.outcome import Observation, Outcome, has_ended, outcome_of


async def wait_for_end(
    watch: FlowRunWatch, job: KubernetesObject, on_change: Callable[[Observation], None]
) -> Observation:
    """Wait until the Job has ended, and return what was seen then.

    :param watch: of the Job's namespace.
    :param job: the Job, of which its metadata suffices.
    :param on_change: is shown each change.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    async with aclosing(watch.follow(job)) as observations:
        async for observation in observations:
            on_change(observation)
            if has_ended(observation):
                break
    if outcome_of(observation).exit_code is None:
        await watch.refresh_pods(observation)
        on_change(observation)
    return observation


async def wait_for_outcome(
    cluster: Cluster, job: KubernetesObject, emit: Callable[[str], None]
) -> Outcome:
    """Wait until the Job has ended, and emit the lines of its flow containers meanwhile.

    :param cluster: where the Job is.
    :param job: the Job as it was created or found.
    :param emit: takes each line of the log.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    flow_log = FlowLog(cluster, emit)
    try:
        async with _watch_of(cluster, job) as watch:
            observation = await wait_for_end(watch, job, flow_log.see)
        await flow_log.finish()
    finally:
        await flow_log.close()
    return outcome_of(observation)


async def wait_until_gone(cluster: Cluster, job: KubernetesObject) -> None:
    """Wait until a Job that is being deleted, and each of its pods, is gone.

    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    async with _watch_of(cluster, job) as watch, aclosing(watch.follow(job)) as observations:
        async for observation in observations:
            if observation.job_gone:
                return


def _watch_of(cluster: Cluster, job: KubernetesObject) -> FlowRunWatch:
    metadata = job["metadata"]
    selector = f"{FLOW_RUN_ID_LABEL}={metadata['labels'][FLOW_RUN_ID_LABEL]}"
    return FlowRunWatch(cluster, metadata["namespace"], selector)
