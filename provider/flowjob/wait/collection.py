"""One collection of a namespace, the Jobs or the pods: what is watched of it, and since when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import is_forbidden
from flowjob.cluster.patience import Say
from flowjob.cluster.retries import delays
from flowjob.cluster.watch import Changed, Opened, watch

log = logging.getLogger(__name__)


class Collection:
    """Watches a collection from its first list on; both may be refused, and granted later.

    :param path: REST path of the collection.
    :param without: what is so while the right to list or to watch is missing.
    :param on_gap: is called where what is known may have changed without being shown.
    """

    def __init__(self, path: str, without: str, on_gap: Callable[[], None]) -> None:
        self.path = path
        #: Whether all that changes from a list on is shown.
        self.is_watched = False
        #: How often that began or ended.
        self.beginnings = 0
        #: Whether there was the right to list once.
        self.was_listed = False
        self._without = without
        self._on_gap = on_gap
        self._is_refused = False
        # Where a watch is to begin; empty: not known.
        self._version = ""
        self._was_listed_again = asyncio.Event()

    def take_listed(self, version: str) -> None:
        """Take it that some of it were listed: a watch begins there, if none has yet."""
        self.was_listed = True
        if not self._version:
            self._version = version
            self._was_listed_again.set()
            # Of one that was refused the next may be, too.
            self.is_watched = not self._is_refused

    def begin_at(self, version: str) -> None:
        """Take it that a watch from this version on, or from "0" on, shows all that matters."""
        self._version, self.is_watched = version, True
        self._was_listed_again.set()

    def take_refused(self, error: Exception) -> None:
        """Take it that the right to list or to watch is missing."""
        if not self._is_refused:
            log.warning("%s: %s, until it is granted", error, self._without)
        self._is_refused = True

    async def changes(
        self, cluster: Cluster, label_selector: str, say: Say, asked_again: float
    ) -> AsyncGenerator[Opened | Changed]:
        """Yield what changes, without end, and each time that it is shown again.

        :param asked_again: seconds after which a right to watch that is missing is asked for again.
        :raises Exception: nothing can be seen any more; see ``watch``.
        """
        asked = f"the watch of {self.path}"
        retries, patience = delays(), cluster.patience(asked=asked, say=say)
        while True:
            await self._was_listed_again.wait()
            try:
                async for event in watch(
                    cluster, self.path, label_selector, self._version, patience
                ):
                    if self._is_refused:
                        log.info("%s may be watched by now", self.path)
                        self._is_refused = False
                        self._begin(is_watched=True)
                    if isinstance(event, Changed):
                        retries = delays()
                    yield event
                self._begin(is_watched=False)
                # One that expires again and again must not have all read without a pause.
                await asyncio.sleep(next(retries))
            except Exception as error:
                self._begin(is_watched=False)
                if not is_forbidden(error):
                    raise
                self.take_refused(error)
                patience = cluster.patience(asked=asked, say=say)
                await asyncio.sleep(asked_again)

    def _begin(self, *, is_watched: bool) -> None:
        has_changed = is_watched != self.is_watched
        self.is_watched = is_watched
        self.beginnings += 1
        if not is_watched:
            self._version = ""
            self._was_listed_again.clear()
        if has_changed:
            self._on_gap()
