"""What an operator says of its flow run to OpenLineage, where that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowjob.worker.task_try import TaskTry


class Lineage:
    """The methods by which the OpenLineage provider asks an operator what it runs.

    Nobody else calls them, so that nothing of that provider is imported where it is not there. A
    facet has no part of the job spec but the image, and nothing of ``env``.

    The contract is ``airflow.providers.openlineage.extractors.base.DefaultExtractor``.
    """

    _task_try: TaskTry | None = None

    @property
    def job_facts(self) -> dict[str, str]:
        """Which Job this process has run, by name; nothing before it knows."""
        return self._task_try.job_facts if self._task_try is not None else {}

    def get_openlineage_facets_on_start(self) -> Any:
        """Say what is about to run: on which connection's cluster, and in which image."""
        from flowjob.operators.open_lineage import facets_of

        return facets_of(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Say what has run, well or not: also which Job it was, and of which API server."""
        return self.get_openlineage_facets_on_start()
