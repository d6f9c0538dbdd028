"""Pytest's part in running tests side by side (`pytest -n 3`), alone, or in a random order.

Most tests wait for a cluster or an Airflow, so several workers of pytest-xdist wait better than
one. Each worker has a cluster and Airflows of its own, started with the first test that asks for
them: so what shares an expensive one is a group, and a group stays together on one worker. A test
that measures time or CPU is marked `alone`: it runs at the end, in the first process, when the
workers have ended and taken their clusters and Airflows with them.
"""

import os
import random
import signal
from collections.abc import Generator
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# What begins first, as it takes longest. The rest of tests/airflow comes late, so that no more than
# two Airflows are busy at a time, beside a cluster without one.
_FIRST = (
    "tests/airflow/test_deferrable.py",
    "tests/airflow/test_exactly_one.py",
    "tests/cluster/",
    "tests/airflow/",
)
# Its files share an Airflow, or two in the second group; all other files are groups of their own.
_GROUP = "tests/airflow/"
_IN_BOTH_MODES = (
    "tests/airflow/test_backfill.py",
    "tests/airflow/test_both_modes.py",
    "tests/airflow/test_composition.py",
    "tests/airflow/test_other_airflows.py",
    "tests/airflow/test_privacy.py",
)
_OWN_GROUPS = (*_FIRST[:2], "tests/airflow/test_prefect_known.py")
# Seconds that the workers have to stop their clusters and Airflows after a Ctrl-C.
_ENDING_SECONDS = 60


def _group(nodeid: str) -> str:
    """Return the name of the group that a test belongs to."""
    file = nodeid.partition("::")[0]
    if file in _IN_BOTH_MODES:
        return f"{_GROUP} in both modes"
    return _GROUP if file.startswith(_GROUP) and file not in _OWN_GROUPS else file


class _Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no type hints
    """Gives workers whole groups, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _has_workers(config: pytest.Config) -> bool:
    return config.pluginmanager.has_plugin("dsession")


# --- hooks --------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take a seed for the order of the tests."""
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the tests in the random order of this seed"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say how to have the same random order again."""
    seed = config.getoption("shuffle")
    return None if seed is None else f"random order: --shuffle {seed}"


def pytest_configure(config: pytest.Config) -> None:
    """Keep a terminal's Ctrl-C from a worker: it hears of it from the first process, once."""
    if _is_worker(config):
        os.setpgrp()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Have groups distributed, the ones that were collected first at first."""
    config.option.loadscopereorder = False
    return _Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bring the tests into order, and leave to each process what it is to run."""
    seed = config.getoption("shuffle")
    if seed is not None:
        _shuffle(items, random.Random(seed))
    elif _is_worker(config):
        items.sort(key=lambda item: _rank(item.nodeid))
    if _is_worker(config) or _has_workers(config):
        alone = _has_workers(config)
        items[:] = [item for item in items if bool(item.get_closest_marker("alone")) == alone]


def _rank(nodeid: str) -> int:
    ranks = (rank for rank, start in enumerate(_FIRST) if nodeid.startswith(start))
    return next(ranks, len(_FIRST))


def _shuffle(items: list[pytest.Item], chance: random.Random) -> None:
    """Shuffle the files, and the tests in each: a file's fixtures are not to be made for each."""
    files = sorted({item.path for item in items})
    chance.shuffle(files)
    chance.shuffle(items)
    items.sort(key=lambda item: files.index(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, bool, bool]:
    """After the workers have ended, run what is to run alone."""
    if not _has_workers(session.config):
        return (yield)
    # Who ends the test run politely is answered as if by Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        done = yield
        _run_alone(session)
    except KeyboardInterrupt:
        _interrupt_workers(session.config)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    return done


def _run_alone(session: pytest.Session) -> None:
    session.config.pluginmanager.getplugin("terminalreporter").write_sep("-", "alone")
    count = session.testscollected
    items = session.perform_collect()
    session.testscollected += count
    for item, following in zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _interrupt_workers(config: pytest.Config) -> None:
    """Let the workers clean up, and wait for that: pytest-xdist would kill them after seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gateways = list(config.pluginmanager.getplugin("dsession").nodemanager.group)
    for gateway in gateways:
        os.kill(gateway._io.popen.pid, signal.SIGINT)
    for gateway in gateways:
        channel = gateway.node.channel
        with suppress(EOFError, channel.RemoteError, channel.TimeoutError):
            channel.waitclose(_ENDING_SECONDS)
