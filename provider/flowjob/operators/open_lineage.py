"""The facet of a flow run in OpenLineage's events.

It needs the provider ``apache-airflow-providers-openlineage``, whose calls alone import it.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from attr import define
from openlineage.client.generated.base import RunFacet

from flowjob.exceptions import FlowJobError

FACET = "flowJob"


@define
class FlowJobRunFacet(RunFacet):  # type: ignore[misc]  # it has no type hints
    """What a flow run runs, and where.

    :param kubernetesConnId: the Airflow connection of the cluster.
    :param image: the image of the flow container; None: it cannot be told.
    :param flow: the kind of the flow, such as ``PythonFlow``.
    :param namespace: the namespace of its Job; None: there is no Job yet, or none any more.
    :param jobName: the name of its Job.
    :param flowRunId: the flow run's id.
    :param apiServer: the address of the cluster's API server.
    """

    # As OpenLineage's own names are written.
    kubernetesConnId: str
    image: str | None
    flow: str
    namespace: str | None = None
    jobName: str | None = None
    flowRunId: str | None = None
    apiServer: str | None = None


def facets_of(operator: Any) -> OperatorLineage:
    """Return the facets of the operator's flow run; what is not known yet is left out.

    :param operator: a ``FlowJobOperator``, its template fields rendered.
    """
    from flowjob.flows import as_flow

    facet = FlowJobRunFacet(
        kubernetesConnId=operator.kubernetes_conn_id,
        image=_image(operator),
        flow=type(as_flow(operator.flow)).__name__,
        **_job(operator),
    )
    return OperatorLineage(run_facets={FACET: facet})


def _job(operator: Any) -> dict[str, str]:
    facts = operator.job_facts
    names = {"job_name": "jobName", "flow_run_id": "flowRunId", "api_server": "apiServer"}
    return {names.get(name, name): value for name, value in facts.items()}


def _image(operator: Any) -> str | None:
    try:
        image: str | None = operator.image or operator.loaded_job_spec().image
    except FlowJobError:
        # The task tells of it.
        return None
    return image
