"""Who is measured side by side, and the DAG runs that each makes: what bench and DAG file share."""

from __future__ import annotations

from dataclasses import dataclass

# The container of the flow, as the Job spec of all names it.
CONTAINER = "flow-container"
# Seconds that the long flow of the row `minute` takes, and the lines that the loud one writes.
LONG_SECONDS = 60
LINES = 50_000
LINE = "x" * 99


@dataclass(frozen=True)
class Contender:
    """One way to run a container from Airflow.

    :param name: as it is shown.
    :param key: as it stands in the ids of its DAGs.
    :param is_ours: whether it is this package's.
    :param is_function: whether it runs a function of the DAG file, which is compared with its like.
    """

    name: str
    key: str
    is_ours: bool = False
    is_function: bool = False


OURS = Contender("FlowJobOperator", "flow_job", is_ours=True)
JOB = Contender("KubernetesJobOperator", "job")
POD = Contender("KubernetesPodOperator", "pod")
OUR_FUNCTION = Contender("@task.flow_job", "flow_job_function", is_ours=True, is_function=True)
POD_FUNCTION = Contender("@task.kubernetes", "pod_function", is_function=True)
OPERATORS = (OURS, JOB, POD)
ALL = (*OPERATORS, OUR_FUNCTION, POD_FUNCTION)
BY_NAME = {contender.name: contender for contender in ALL}


@dataclass(frozen=True)
class Scene:
    """A DAG of one task: which flow, by whom, and where it is waited for.

    :param flow: `no_op`, `minute`, `loud`, `failing`, or `days`: the no-op as a backfill's.
    """

    flow: str
    contender: Contender
    deferrable: bool = False

    @property
    def dag_id(self) -> str:
        """The id of the DAG and of its connection, by which its API requests are told."""
        return f"{self.flow}_{self.contender.key}_{self.mode}"

    @property
    def account(self) -> str:
        """The service account of its connection."""
        return self.dag_id.replace("_", "-")

    @property
    def mode(self) -> str:
        """Where it is waited for."""
        return "deferrable" if self.deferrable else "worker"


NO_OPS = (
    *(Scene("no_op", contender) for contender in ALL),
    *(Scene("no_op", contender, deferrable=True) for contender in OPERATORS),
)
MINUTES = tuple(
    Scene("minute", contender, deferrable)
    for deferrable in (False, True)
    for contender in OPERATORS
)
LOUD = tuple(Scene("loud", contender) for contender in OPERATORS)
FAILING = tuple(
    Scene("failing", contender, deferrable)
    for deferrable in (False, True)
    for contender in OPERATORS
)
DAYS = tuple(Scene("days", contender) for contender in OPERATORS)
SCENES = (*NO_OPS, *MINUTES, *LOUD, *FAILING, *DAYS)

# A task that does nothing, and runs of it as a backfill: Airflow's own part of all of the above.
NOTHING, NOTHING_DAYS = "nothing", "nothing_days"
