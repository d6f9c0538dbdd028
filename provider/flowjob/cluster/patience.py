"""How long an API server's errors are borne with: one policy for requests, lists, watches and logs.

- No connection, 5xx, 429, half an answer, a page in place of JSON, credentials that are not
  renewed: waited for, ``PATIENCE`` seconds.
- 401, and where a caller says so a missing right (403): doubted, ``DOUBT`` seconds.
- All else: final.

A missing right is doubted where the refusal would be the end of a task: an API server that has just
started may not have read its roles yet. It is not where something else is done then, such as to
read the Job now and then, as people grant no more rights than they need.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from flowjob.cluster.errors import ApiError, describe, is_transient
from flowjob.cluster.retries import delays
from flowjob.exceptions import ClusterError
from flowjob.status.refusal import is_missing_right
from flowjob.timeouts import DOUBT, REMINDER

log = logging.getLogger(__name__)

# Takes the level and the text of a line of the log.
Say = Callable[[int, str], None]

# HTTP statuses that may pass: of one whom the API server does not know, or not what it may do.
UNKNOWN_USER = frozenset({401})
REFUSALS = frozenset({401, 403})


class Patience:
    """Bears with errors from the first of them on, until something succeeds.

    It says what is wrong at first, and then once a minute.

    :param lack: what there is none of meanwhile, as in "no answer from ...".
    :param limit: seconds; None: any number.
    :param doubted: the statuses that are doubted.
    :param passes: tells which errors are waited for.
    :param say: takes what is said; None (default): the log of who waits.
    :param clock: tells the seconds.
    """

    def __init__(
        self,
        lack: str,
        limit: float | None,
        *,
        doubted: Collection[int] = UNKNOWN_USER,
        passes: Callable[[Exception], bool] = is_transient,
        say: Say | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.doubted = doubted
        self._lack = lack
        self._limit = limit
        self._passes = passes
        self._told = say or log.log
        self._clock = clock
        self.settle()

    def settle(self) -> None:
        """Take it that something succeeded."""
        self._failing_since: float | None = None
        self._refused_since: float | None = None
        self._said_at: float | None = None
        self._delays = delays()

    def take(self, error: Exception) -> float:
        """Take an error, and return after how many seconds to try again.

        :raises ClusterError: it was waited for as long as may be.
        :raises Exception: the error itself, where it is final.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        left = None if self._limit is None else self._failing_since + self._limit - now
        if self._passes(error):
            self._refused_since = None
            if left is not None and left <= 0:
                told = f"{self._lack} for {self._limit:g} s: {describe(error)}"
                raise ClusterError(told) from None
        else:
            left = self._left_of_doubt(error, now)
        self._say(error, now)
        delay = max(next(self._delays), getattr(error, "retry_after", None) or 0)
        return delay if left is None else min(delay, left)

    def _left_of_doubt(self, error: Exception, now: float) -> float:
        if not (isinstance(error, ApiError) and self._is_doubted(error)):
            raise error
        if self._refused_since is None:
            self._refused_since = now
        left = self._refused_since + DOUBT - now
        if left <= 0:
            raise error
        return left

    def _is_doubted(self, error: ApiError) -> bool:
        return error.code in self.doubted and (error.code != 403 or is_missing_right(error.status))

    def _say(self, error: Exception, now: float) -> None:
        if self._said_at is not None and now - self._said_at < REMINDER:
            return
        # Once is what a load balancer does, or a server that is started again.
        level = logging.INFO if self._said_at is None else logging.WARNING
        self._told(level, f"There is {self._lack} ({describe(error)}): trying again")
        self._said_at = now
