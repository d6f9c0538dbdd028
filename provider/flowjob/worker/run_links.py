"""Where people see a flow run: on the page of flow runs, and in the consoles of their company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter
from urllib.parse import quote

from flowjob.exceptions import FlowJobError
from flowjob.flow_run import TaskInstanceKey, flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.outcome import Outcome

# What Airflow's UI looks for behind the buttons of a task: `_link_` and the name of a class.
FLOW_RUNS_LINK = "_link_FlowRunsLink"
KUBERNETES_LINK, LOGS_LINK = "_link_KubernetesLink", "_link_LogsLink"
# The setting in `[flowjob]` that each of the others is made from.
SETTINGS = {KUBERNETES_LINK: "job_url", LOGS_LINK: "log_url"}
# The tab of a task instance that Airflow shows the page in.
TAB = "flow_run"

# What a template may name; the last four are known some time after the Job is created.
NAMES = ("namespace", "job_name", "flow_run_id", "pod", "node", "started_at", "finished_at")


class LinkTemplateError(FlowJobError):
    """Says what is wrong with the template of a link."""


def page_of(key: TaskInstanceKey) -> str:
    """Return the address of a task instance's flow run, relative to that of Airflow's UI.

    So it leads there by whatever address a user has reached Airflow.
    """
    names = (quote(each, safe="") for each in (key.dag_id, key.run_id, key.task_id))
    mapped = f"/mapped/{key.map_index}" if key.map_index >= 0 else ""
    return "dags/{}/runs/{}/tasks/{}".format(*names) + f"{mapped}/plugin/{TAB}"


def templates() -> dict[str, str]:
    """Return the templates that Airflow's settings have, by the XCom of their link.

    An address may have a percent sign, which stands for itself.
    """
    from airflow.configuration import conf

    found = {}
    for key, name in SETTINGS.items():
        if template := conf.get("flowjob", name, fallback="", raw=True).strip():
            found[key] = template
    return found


def facts_of(job: KubernetesObject, outcome: Outcome | None) -> dict[str, str | None]:
    """Return what a template may name, of a flow run that goes on or has ended.

    :param job: the Job, of which its metadata suffices.
    :param outcome: where it is, or how it ended; None: it has just begun.
    """
    metadata = job["metadata"]
    facts = {name: getattr(outcome, name, None) for name in NAMES}
    return {
        **facts,
        "namespace": metadata["namespace"],
        "job_name": metadata["name"],
        "flow_run_id": flow_run_id_of(job),
        "started_at": facts["started_at"] or metadata.get("creationTimestamp"),
    }


def link_of(template: str, facts: Mapping[str, str | None]) -> str:
    """Fill a template in; each value is quoted, and what is not known yet is empty.

    :param template: an address with names in braces; a brace of the address itself is doubled.
    :param facts: what it may name.
    :raises LinkTemplateError: it names something else.
    """
    return "".join(
        text if name is None else text + quote(facts[name] or "", safe="")
        for text, name in _parts(template)
    )


def is_known_later(template: str) -> bool:
    """Tell whether a link changes after the create of its Job."""
    try:
        return bool({name for _, name in _parts(template)} & set(NAMES[3:]))
    except LinkTemplateError:
        return False


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise LinkTemplateError(f"{error}: double a brace of the address itself") from None
    for text, name, form, conversion in parsed:
        if name is not None and (name not in NAMES or form or conversion):
            raise LinkTemplateError(f"names {{{name}}}, which is none of {', '.join(NAMES)}")
        yield text, name
