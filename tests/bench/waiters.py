"""The process under measurement: a loop with many triggers of one kind, as in a triggerer.

Reads a line of JSON with the metadata of what is waited for and tells, in lines of JSON, what it
costs and when each event came.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger

from tests.bench.contenders import CONTAINER, JOB, OURS, POD
from tests.bench.processes import own_memory
from tests.support.triggers import trigger_of

IDLE_SECONDS = 20
# Seconds: until the first of them has what it needs; then for all to begin, and more for thousands.
_FIRST, _SETTLE, _SETTLE_EACH = 5.0, 10.0, 0.001


# Standard output, for the figures alone.
_figures = os.fdopen(os.dup(1), "w")


def tell(**facts: Any) -> None:
    print(json.dumps(facts), file=_figures, flush=True)


def _ours(metadata: dict[str, Any], conn_id: str) -> BaseTrigger:
    return trigger_of({"metadata": metadata}, conn_id)


def _job(metadata: dict[str, Any], conn_id: str) -> BaseTrigger:
    # Not above: each is to have in memory what it needs, and no more.
    from airflow.providers.cncf.kubernetes.triggers.job import KubernetesJobTrigger

    trigger: BaseTrigger = KubernetesJobTrigger(
        job_name=metadata["name"],
        job_namespace=metadata["namespace"],
        pod_names=[f"{metadata['name']}-pod"],
        pod_namespace=metadata["namespace"],
        base_container_name=CONTAINER,
        kubernetes_conn_id=conn_id,
    )
    return trigger


def _pod(metadata: dict[str, Any], conn_id: str) -> BaseTrigger:
    from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger

    trigger: BaseTrigger = KubernetesPodTrigger(
        pod_name=metadata["name"],
        pod_namespace=metadata["namespace"],
        trigger_start_time=datetime.now(UTC),
        base_container_name=CONTAINER,
        kubernetes_conn_id=conn_id,
    )
    return trigger


_TRIGGERS: dict[str, Callable[[dict[str, Any], str], BaseTrigger]] = {
    OURS.key: _ours,
    JOB.key: _job,
    POD.key: _pod,
}


async def wait(trigger: BaseTrigger, name: str) -> None:
    async for event in trigger.run():
        # A wait that has given up has heard of nothing.
        status = event.payload.get("status") if isinstance(event.payload, dict) else None
        tell(event=name, at=time.time(), status=str(status))
        return


async def main() -> None:
    # Airflow's log would go there, too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    make, conn_id = _TRIGGERS[sys.argv[1]], sys.argv[2]
    first, *others = json.loads(sys.stdin.readline())
    # The first brings in all modules, and keeps what is open.
    waiters = [asyncio.create_task(wait(make(first, conn_id), first["name"]))]
    await asyncio.sleep(_FIRST)
    before = own_memory()
    for metadata in others:
        waiters.append(asyncio.create_task(wait(make(metadata, conn_id), metadata["name"])))
    await asyncio.sleep(_SETTLE + _SETTLE_EACH * len(others))
    after = own_memory()
    tell(memory=after, memory_of_waits=after - before)
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - wall
    tell(cpu=(time.process_time() - cpu) / seconds, seconds=seconds)
    await asyncio.gather(*waiters)


if __name__ == "__main__":
    asyncio.run(main())
