"""Have the API server check job specs, without creating anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from uuid import uuid4

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
from flowjob.flow_run import FlowRun, TaskInstanceKey
from flowjob.kubernetes_object import KubernetesObject
from flowjob.spec.job_spec import FlowContainer, JobSpec
from flowjob.timeouts import DRY_RUN_PATIENCE

# Stands for the operator's, where the spec's first container has none.
_ANY_IMAGE = "flow"


def dry_run(specs: Mapping[str, JobSpec], kubernetes_conn_id: str) -> dict[str, FlowJobError]:
    """Return why the API server would refuse specs, by their keys; those it takes are left out.

    :param specs: the specs.
    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
    """
    return asyncio.run(_dry_run(specs, kubernetes_conn_id))


async def _dry_run(specs: Mapping[str, JobSpec], conn_id: str) -> dict[str, FlowJobError]:
    errors: dict[str, FlowJobError] = {}
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(DRY_RUN_PATIENCE):
                cluster = await stack.enter_async_context(Cluster(conn_id))
        except ClusterError as error:
            return dict.fromkeys(specs, error)
        except TimeoutError:
            told = f"the Airflow connection {conn_id!r} was not loaded in {DRY_RUN_PATIENCE} s"
            return dict.fromkeys(specs, ClusterError(told))
        for key, spec in specs.items():
            try:
                async with asyncio.timeout(DRY_RUN_PATIENCE):
                    await cluster.check_job(_job(spec, cluster))
            except TimeoutError:
                errors[key] = ClusterError(
                    f"the API server gave no answer for {DRY_RUN_PATIENCE} s"
                )
            except JobRefusedError as error:
                errors[key] = spec.locate(error)
            except FlowJobError as error:
                errors[key] = error
    return errors


def _job(spec: JobSpec, cluster: Cluster) -> KubernetesObject:
    """Make the Job of a flow run that never is."""
    flow_run = FlowRun(
        flow_run_id=str(uuid4()),
        task_instance=TaskInstanceKey("flowjob", "check", "check"),
        airflow="",
        try_number=1,
        max_tries=0,
        dag_run_start="",
    )
    container = FlowContainer(spec.image or _ANY_IMAGE, command=None, args=None, env={})
    namespace = spec.namespace or cluster.namespace or "default"
    return spec.for_flow_run(flow_run, container, namespace=namespace, name=None)
