"""What can go wrong with a flow run, each a sentence that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class FlowJobError(Exception):
    """Any error of this package.

    A subclass whose cause no retry can heal sets ``heals_by_retry`` to False; the operator then
    fails the task without retries, as Airflow's ``AirflowFailException`` does.
    """

    heals_by_retry = True


class JobSpecError(FlowJobError):
    """The job spec, or an argument that goes into it, is not what Kubernetes or DESIGN asks for."""

    heals_by_retry = False


class JobSpecMissingError(JobSpecError):
    """There is no file of this name."""


class FlowError(FlowJobError):
    """The operator's ``flow``, ``parameters`` or ``env`` cannot be run."""

    heals_by_retry = False


class ResultError(FlowJobError):
    """The flow succeeded, but what it left as its result is no JSON or too large."""

    heals_by_retry = False


class JobRefusedError(FlowJobError):
    """The API server refused the Job, and would refuse it again.

    :param message: what it says.
    :param fields: the fields of the Job that it names.
    """

    heals_by_retry = False

    def __init__(self, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class ClusterError(FlowJobError):
    """The cluster gave no usable answer: unreachable for too long, or no right to ask."""


class RequestStoppedError(ClusterError):
    """A request that has had no answer is not sent again, as it is no longer wanted."""


class RemoteError(FlowJobError):
    """A system that knows the flow's runs, too, such as Prefect, gave no usable answer."""


class RemoteRefusedError(RemoteError):
    """Such a system refused what it was asked for, and would refuse it again."""

    heals_by_retry = False


class FlowRunFailedError(FlowJobError):
    """The flow run did not succeed; the message is its diagnosis."""


class FlowRunEndedElsewhereError(FlowRunFailedError):
    """Somebody cancelled the flow run in the system that knows it, too: a retry is not wanted."""

    heals_by_retry = False


class FlowRunCancelledError(FlowJobError):
    """The flow run was killed: its Job was deleted, or was never created."""


class JobSpecWarning(UserWarning):
    """A job spec may not mean what its author thinks it does."""
