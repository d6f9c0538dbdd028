"""``EventPayload``: what a trigger hands on to the worker that resumes.

Airflow logs the event of a trigger whole and unmasked, and stores it. So what a flow said, in its
result, its error or its last lines, travels only where its pod is taken away; else the worker reads
it there. The trigger itself logs none of it, as it cannot mask, and as Airflow loses lines that are
logged right before a trigger's end.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self

from flowjob.flows.runner import RESULT_ERROR
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_being_deleted
from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.text import not_stored
from flowjob.timeouts import SHORT_TTL

if TYPE_CHECKING:
    from flowjob.logs.tails import Tails

_GONE = "what its flow said of it is gone with its pod"


class EventPayload(dict[str, Any]):
    """A plain dict to Airflow, of which nothing shows in a log but the Job's name and the status.

    Its keys are ``job`` (metadata of the Job), ``outcome`` (None: the flow run goes on),
    ``is_whole`` (whether the flow's own words are in the outcome), ``last_lines`` (of pods that are
    taken away) and ``taken_pods`` (their uids).
    """

    @classmethod
    def going_on(cls, job: KubernetesObject) -> Self:
        """Make the payload of a flow run whose log so far is to be fetched."""
        return cls(job=job, outcome=None, is_whole=True, last_lines=[], taken_pods=[])

    @classmethod
    def ended(
        cls,
        job: KubernetesObject,
        observation: Observation,
        outcome: Outcome,
        tails: Tails,
    ) -> Self:
        """Make the payload of a flow run that has ended."""
        is_whole = outcome.exit_code is None or _is_going(observation)
        messages = outcome.indexed_messages
        kept = replace(
            outcome,
            termination_message=_stored(outcome.termination_message),
            indexed_messages=None if messages is None else [_stored(each) for each in messages],
        )
        if not is_whole:
            kept = replace(
                outcome, message=None, facts=[], termination_message="", indexed_messages=None
            )
        return cls(
            job=job,
            outcome=asdict(kept),
            is_whole=is_whole,
            last_lines=tails.lines,
            taken_pods=tails.pods,
        )

    def __repr__(self) -> str:
        """Show what may stand in a log."""
        metadata, outcome = self.get("job", {}).get("metadata", {}), self.get("outcome") or {}
        return f"<Job {metadata.get('name')}: {outcome.get('status') or 'goes on'}>"


def outcome_of_event(event: dict[str, Any], read_again: Outcome | None) -> Outcome | None:
    """Return how the flow run ended; None: it goes on.

    :param event: the payload, a plain dict by now.
    :param read_again: what was read of its end in the cluster; None: nothing is there any more.
    """
    if not event.get("outcome"):
        return None
    told = Outcome(**event["outcome"])
    if event.get("is_whole", True):
        return told
    if read_again is not None and read_again.exit_code == told.exit_code:
        return read_again
    return told if told.reason is None else replace(told, message=f"{told.reason}: {_GONE}")


def _stored(text: str) -> str:
    """Return what a flow left as its result, refused where Airflow cannot store it.

    To replace the character would make another result of it.
    """
    character = not_stored(text)
    return f"{RESULT_ERROR}Airflow cannot store the character {character}" if character else text


def _is_going(observation: Observation) -> bool:
    """Tell whether the pods may be gone before a worker reads them."""
    ttl = (observation.job.get("spec") or {}).get("ttlSecondsAfterFinished")
    return (
        observation.job_gone
        or is_being_deleted(observation.job)
        or (ttl is not None and ttl < SHORT_TTL)
        or any(is_being_deleted(pod) for pod in observation.pods.values())
    )
