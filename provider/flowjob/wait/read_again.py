"""Read how a flow run ended, once its end was seen."""

from __future__ import annotations

from collections.abc import Collection

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import Observation, has_ended
from flowjob.status.outcome import Outcome, outcome_of, outcome_of_exit, outcome_of_flow


async def read_outcome(
    cluster: Cluster, job: KubernetesObject, exit_codes: Collection[int] = ()
) -> Outcome | None:
    """Read the outcome of a flow run whose end was seen before.

    :param job: the Job, of which its metadata suffices.
    :param exit_codes: see ``wait_for_end``.
    :returns: the outcome, None where the Job is gone by now, or its end with it.
    :raises ClusterError: the API server gave no usable answer.
    """
    metadata = job["metadata"]
    found = await cluster.find_job(metadata["namespace"], metadata["name"])
    if found is None or found["metadata"]["uid"] != metadata["uid"]:
        return None
    try:
        pods = {pod["metadata"]["uid"]: pod for pod in await cluster.pods_of(found)}
    except ApiError as error:
        raise ClusterError(f"cannot list the pods: {error}") from None
    observation = Observation(found, pods)
    if has_ended(observation):
        return outcome_of(observation)
    return outcome_of_exit(observation, exit_codes) or outcome_of_flow(observation)
