"""``FlowRun``: the ids of one execution of a flow and the names, labels and annotations from them.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from uuid import UUID, uuid5

from flowjob.kubernetes_object import KubernetesObject

IDENTIFIER_LABEL = "identifier"
FLOW_RUN_ID_LABEL = "flow_run_id"
ANNOTATION_PREFIX = "flowjob/"
# The annotation of a Job that is not to stay once it has ended; see ``is_kept``.
ON_FINISH = "on_finish"
# The annotation of a Job whose flow run another system knows, too; see ``RemoteRun``.
REMOTE_RUN = "remote_run"

# The identifier is a UUID of version 5: the same names give the same id, in any process.
_IDENTIFIER_NAMESPACE = UUID("6f0c2e1e-6f0e-5a53-9d0f-0c8c3c0a9f57")

# Kubernetes' limit for a Job's name: it becomes a label of its pods (RFC 1123 label).
LONGEST_JOB_NAME = 63
# So much of the flow run id ends a Job's name: its random part, 62 bits of a UUID.
_SUFFIX_DIGITS = 16


@dataclass(frozen=True)
class TaskInstanceKey:
    """Which task instance it is, over all its tries.

    :param dag_id: the DAG's id.
    :param run_id: the DAG run's id.
    :param task_id: the task's id.
    :param map_index: index of a mapped task instance, -1 where the task is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def identifier(self) -> str:
        """The stable id of the task instance, the same for all its tries (a UUID)."""
        names = [self.dag_id, self.run_id, self.task_id, self.map_index]
        return str(uuid5(_IDENTIFIER_NAMESPACE, json.dumps(names)))

    def __str__(self) -> str:
        mapped = f" (map index {self.map_index})" if self.map_index >= 0 else ""
        return f"task {self.task_id!r}{mapped} of DAG {self.dag_id!r}, run {self.run_id!r}"


@dataclass(frozen=True)
class FlowRun:
    """One execution of a flow: one try of one task instance, one Job (DESIGN section 2).

    :param flow_run_id: Airflow's id of this try of the task instance (``ti.id``), a UUID.
    :param task_instance: whose try it is.
    :param airflow: which Airflow it is, by a name that no other has: several may share a namespace,
        with the same DAGs. Empty: it has none for certain.
    :param try_number: which try of the task instance this is, from 1.
    :param max_tries: ``ti.max_tries``; it changes exactly when the task is cleared.
    :param dag_run_start: ``dag_run.start_date`` as ISO 8601 text; a run that was deleted and
        created again has the same run id and another start.
    """

    flow_run_id: str
    task_instance: TaskInstanceKey
    airflow: str
    try_number: int
    max_tries: int
    dag_run_start: str

    @property
    def generation(self) -> str:
        """What the tries between two clears share."""
        return f"{self.max_tries}/{self.dag_run_start}"

    @property
    def labels(self) -> dict[str, str]:
        """The two labels of the reference (its section "Job Spec Configuration")."""
        return {
            IDENTIFIER_LABEL: self.task_instance.identifier,
            FLOW_RUN_ID_LABEL: self.flow_run_id,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """Which task instance the Job belongs to, for people and for a later try."""
        facts = {
            **{name: str(value) for name, value in asdict(self.task_instance).items()},
            "airflow": self.airflow,
            "try_number": str(self.try_number),
            "generation": self.generation,
        }
        return {ANNOTATION_PREFIX + name: value for name, value in facts.items()}

    def job_name(self, base: str | None, longest: int = LONGEST_JOB_NAME) -> str:
        """Derive the Job's name from the flow run id, so that ``create`` is the lock.

        :param base: what the name begins with, usually the spec's ``name`` or ``generateName``;
            without one the DAG's and the task's ids.
        :param longest: most characters that the name may have.
        """
        suffix = _suffix(self.flow_run_id)
        readable = base or f"{self.task_instance.dag_id}-{self.task_instance.task_id}"
        readable = re.sub(r"[^a-z0-9]+", "-", readable.lower())
        readable = readable[: longest - len(suffix) - 1].strip("-")
        return f"{readable}-{suffix}" if readable else f"flow-{suffix}"


def _suffix(flow_run_id: str) -> str:
    return flow_run_id.replace("-", "")[-_SUFFIX_DIGITS:]


def is_named_after_its_flow_run(job: KubernetesObject) -> bool:
    """Tell whether this package made the Job: a copy of it has its labels, but another name."""
    flow_run_id = label(job, FLOW_RUN_ID_LABEL) or ""
    suffix = _suffix(flow_run_id)
    return bool(suffix) and str(job["metadata"]["name"]).endswith(f"-{suffix}")


def airflow_of(flow_run: FlowRun, job: KubernetesObject) -> bool | None:
    """Tell whether a Job with the flow run's identifier is of the same Airflow; None: unknown.

    Where one of both has no name, the start of the DAG run tells: a time to the microsecond.
    """
    name = annotation(job, "airflow")
    if flow_run.airflow and name:
        return name == flow_run.airflow
    start = (annotation(job, "generation") or "").partition("/")[2]
    return True if start and start == flow_run.dag_run_start else None


def flow_run_id_of(item: KubernetesObject) -> str:
    """Read from a Job, or from one of its pods, of which flow run it is.

    :raises KeyError: of none; ``label`` is for what may be somebody else's.
    """
    flow_run_id: str = item["metadata"]["labels"][FLOW_RUN_ID_LABEL]
    return flow_run_id


def flow_runs_selector(flow_run_ids: Iterable[str]) -> str:
    """Return the label selector of several flow runs: of their Jobs and of their pods."""
    return f"{FLOW_RUN_ID_LABEL} in ({','.join(flow_run_ids)})"


def flow_run_selector(job: KubernetesObject) -> str:
    """Return the label selector of a Job's flow run: of the Job and of its pods."""
    return f"{FLOW_RUN_ID_LABEL}={flow_run_id_of(job)}"


def label(item: KubernetesObject, name: str) -> str | None:
    """Read a label of a Job or a pod, None where it has none of that name."""
    value: str | None = (item["metadata"].get("labels") or {}).get(name)
    return value


def task_instance_of(job: KubernetesObject) -> TaskInstanceKey | None:
    """Read from a Job's annotations whose it is; None: this package did not write them."""
    names = [annotation(job, name) for name in ("dag_id", "run_id", "task_id", "map_index")]
    dag_id, run_id, task_id, map_index = names
    if dag_id is None or run_id is None or task_id is None or map_index is None:
        return None
    # Anybody may write an annotation.
    is_index = re.fullmatch(r"-1|[0-9]{1,9}", map_index)
    return TaskInstanceKey(dag_id, run_id, task_id, int(map_index)) if is_index else None


def is_kept(on_finish: str, *, succeeded: bool) -> bool:
    """Tell whether a Job stays once it has ended.

    :param on_finish: ``"keep"``, ``"delete"`` or ``"delete_succeeded"``, as the operator has it.
    """
    return on_finish == "keep" or (on_finish == "delete_succeeded" and not succeeded)


def add_labels(job: KubernetesObject, labels: Mapping[str, str]) -> None:
    """Write further labels to a Job that is to be created, and to its pods."""
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        metadata["labels"].update(labels)


def annotate(job: KubernetesObject, name: str, value: str) -> None:
    """Write an annotation of ours to a Job that is to be created."""
    job["metadata"]["annotations"][ANNOTATION_PREFIX + name] = value


def annotation(job: KubernetesObject, name: str) -> str | None:
    """Read one of our annotations from a Job, None where it has none of that name."""
    value: str | None = (job["metadata"].get("annotations") or {}).get(ANNOTATION_PREFIX + name)
    return value
