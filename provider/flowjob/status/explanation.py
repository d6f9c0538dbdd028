"""What a task says of a flow run that did not succeed: the cause at a glance, then all else.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from flowjob.status.outcome import Outcome
from flowjob.text import shortened

# Characters of a line that are seen in Airflow's UI without scrolling.
LONGEST_HEADLINE = 100


def explain_failure(outcome: Outcome) -> tuple[str, list[str]]:
    """Return the cause, in at most 100 characters, and the further facts, a line each.

    :param outcome: of a flow run that did not succeed.
    """
    message = outcome.message or outcome.status
    headline = shortened(message, LONGEST_HEADLINE)
    lines = [] if headline == message else [message]
    lines += outcome.facts
    if outcome.remedy:
        lines.append(f"what to do: {outcome.remedy}")
    lines += [
        f"{name.replace('_', ' ')}: {value}"
        for name in ("reason", "container", "pod", "node", "exit_code")
        if (value := getattr(outcome, name)) is not None
    ]
    return headline, lines
