"""Wait for a flow run: to its end, or until its Job is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.paths import events_path
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.follow import FlowLog
from flowjob.logs.selection import LogSelection
from flowjob.status.diagnosis import Diagnosis
from flowjob.status.observation import Observation, has_ended
from flowjob.status.outcome import SUCCEEDED, Outcome, outcome_of, outcome_of_flow, outcome_of_start
from flowjob.status.progress import Progress
from flowjob.status.start import diagnose_start, has_started, is_suspended
from flowjob.status.warnings import lost_pods
from flowjob.wait.flow_run_watch import FlowRunWatch, watch_of

log = logging.getLogger(__name__)

_NO_CAUSE = Diagnosis("NotStarted", "the cluster does not say why")


async def wait_for_end(
    cluster: Cluster,
    watch: FlowRunWatch,
    job: KubernetesObject,
    on_change: Callable[[Observation], None],
    *,
    startup_timeout: float | None,
    wait_for: str,
) -> tuple[Observation, Outcome]:
    """Wait until the flow run is over, and return what was seen then and what it means.

    :param cluster: where the Job is.
    :param watch: of the Job's namespace.
    :param job: the Job, of which its metadata suffices.
    :param on_change: is shown each change.
    :param startup_timeout: seconds that the flow container may take to start, suspension not
        counted; None: any number. What cannot heal by itself ends the flow run at once.
    :param wait_for: ``"job"``: its end; ``"flow"``: that of the flow container, where others keep
        the Job active.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    progress = Progress()
    try:
        async with asyncio.timeout(None) as limit, aclosing(watch.follow(job)) as observations:
            async for observation in observations:
                on_change(observation)
                for line in progress.news(observation):
                    log.info("%s", line)
                if has_ended(observation):
                    break
                if wait_for == "flow" and (outcome := outcome_of_flow(observation)):
                    return observation, outcome
                cause = None if has_started(observation) else diagnose_start(observation)
                if cause is not None and not cause.can_heal:
                    return observation, outcome_of_start(cause)
                limit.reschedule(_start_deadline(observation, startup_timeout))
    except TimeoutError:
        if not limit.expired():
            raise
        await watch.refresh_pods(observation)
        if has_started(observation):
            # It did while the API server was away, or its pods' watch late.
            return await wait_for_end(
                cluster, watch, job, on_change, startup_timeout=None, wait_for=wait_for
            )
        cause = diagnose_start(observation, await _events_of(cluster, observation))
        return observation, outcome_of_start(_too_late(cause or _NO_CAUSE, startup_timeout))
    return observation, await _see_end(watch, observation, on_change)


async def _see_end(
    watch: FlowRunWatch, observation: Observation, on_change: Callable[[Observation], None]
) -> Outcome:
    """Say how an ended flow run ended; its pods are read where their watch lags behind."""
    if outcome_of(observation).exit_code is None:
        await watch.refresh_pods(observation)
        on_change(observation)
    outcome = outcome_of(observation)
    if outcome.status == SUCCEEDED and (lost := lost_pods(observation)) is not None:
        log.warning("%s", lost)
    return outcome


async def wait_for_outcome(
    cluster: Cluster,
    job: KubernetesObject,
    emit: Callable[[str], None],
    selection: LogSelection,
    *,
    startup_timeout: float | None,
    wait_for: str,
) -> Outcome:
    """Wait until the flow run is over, and emit the lines of its containers meanwhile.

    :param cluster: where the Job is.
    :param job: the Job as it was created or found.
    :param emit: takes each line of the log.
    :param selection: of which containers.
    :param startup_timeout: see ``wait_for_end``, as for ``wait_for``.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    flow_log = FlowLog(cluster, selection, emit)
    try:
        async with watch_of(cluster, job) as watch:
            _, outcome = await wait_for_end(
                cluster,
                watch,
                job,
                flow_log.see,
                startup_timeout=startup_timeout,
                wait_for=wait_for,
            )
        await flow_log.finish()
    finally:
        await flow_log.close()
    return outcome


def _start_deadline(observation: Observation, startup_timeout: float | None) -> float | None:
    """Return until when, in the loop's time, the flow container must have started."""
    if startup_timeout is None or has_started(observation) or is_suspended(observation):
        return None
    loop = asyncio.get_running_loop()
    # Set anew when a suspended Job is released. The Job controller sets it within moments.
    started = (observation.job.get("status") or {}).get("startTime")
    waited = 0.0
    if started:
        then = datetime.fromisoformat(started)
        waited = max((datetime.now(then.tzinfo) - then).total_seconds(), 0)
    return loop.time() + max(startup_timeout - waited, 0)


async def _events_of(cluster: Cluster, observation: Observation) -> list[KubernetesObject]:
    """Read the events about the Job and its pods; without the right to do so, there are none."""
    path = events_path(observation.job["metadata"]["namespace"])
    uids = {observation.job["metadata"]["uid"], *observation.pods}
    try:
        return [
            event
            for uid in sorted(uids)
            async for page in cluster.pages(path, field_selector=f"involvedObject.uid={uid}")
            for event in page["items"]
        ]
    except ApiError as error:
        log.info("The events are not read: %s", error)
        return []


def _too_late(cause: Diagnosis, startup_timeout: float | None) -> Diagnosis:
    return replace(
        cause,
        message=f"the flow container has not started in {startup_timeout:g} s: {cause.message}",
    )
