"""What a try does with the Jobs that its task instance has already.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.flow_run import (
    FlowRun,
    airflow_of,
    annotation,
    flow_run_id_of,
    is_named_after_its_flow_run,
)
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_active, is_being_deleted, true_condition
from flowjob.status.observation import created_at


@dataclass(frozen=True)
class EarlierJobs:
    """What to do with the Jobs of a task instance's earlier tries (DESIGN section 4.3).

    :param adopted: the Job that this try goes on with, None: it launches one of its own.
    :param in_the_way: the Jobs that must be gone before it does.
    :param doubtful: the Jobs that go on and may be this Airflow's or another's: nobody can tell.
    """

    adopted: KubernetesObject | None
    in_the_way: list[KubernetesObject]
    doubtful: list[KubernetesObject]


def sort_earlier_jobs(flow_run: FlowRun, jobs: list[KubernetesObject]) -> EarlierJobs:
    """Choose among the Jobs with the identifier of the flow run's task instance.

    A Job of the same generation that is active or succeeded is adopted: the worker that waited for
    it died. Any other that may still run is in the way, and so is one that is being deleted, as
    its pods end only after their grace period. What somebody made as a copy of a Job is neither.
    """
    made_by_us = _made_by_us(jobs)
    own = _own(flow_run, made_by_us)
    same_generation = [
        job
        for job in own
        if annotation(job, "generation") == flow_run.generation
        and not is_being_deleted(job)
        and not true_condition(job, "Failed")
    ]
    adopted = max(same_generation, key=created_at, default=None)
    return EarlierJobs(
        adopted,
        in_the_way=[job for job in own if job is not adopted and _may_run(job)],
        doubtful=[job for job in made_by_us if airflow_of(flow_run, job) is None and _may_run(job)],
    )


def sort_jobs_beside(
    flow_run: FlowRun, jobs: list[KubernetesObject]
) -> tuple[list[KubernetesObject], KubernetesObject | None]:
    """Choose among the Jobs with the identifier, when this flow run has just got one of its own.

    Of two workers that launch at once neither sees the other's Job before its own is there, such as
    one that Airflow does not want any more, and the one that has its place. The later one's stays:
    Airflow's id of a try begins with the time (UUID of version 7).

    :returns: the Jobs of earlier tries, which are in the way; and one of a later try, for which
        this flow run's is to go.
    """
    own = _own(flow_run, _made_by_us(jobs))
    later = [job for job in own if flow_run_id_of(job) > flow_run.flow_run_id]
    earlier = [job for job in own if flow_run_id_of(job) < flow_run.flow_run_id and _may_run(job)]
    return earlier, max(later, key=flow_run_id_of, default=None)


def _made_by_us(jobs: list[KubernetesObject]) -> list[KubernetesObject]:
    return [job for job in jobs if is_named_after_its_flow_run(job)]


def _own(flow_run: FlowRun, jobs: list[KubernetesObject]) -> list[KubernetesObject]:
    return [job for job in jobs if airflow_of(flow_run, job) is True]


def _may_run(job: KubernetesObject) -> bool:
    return is_active(job) or is_being_deleted(job)
