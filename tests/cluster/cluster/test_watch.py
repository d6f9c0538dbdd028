"""A watch on a real cluster, with objects of every size."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from flowjob.cluster.paths import jobs_path
from flowjob.cluster.watch import Changed, watch
from flowjob.flow_run import FLOW_RUN_ID_LABEL
from tests.support.flow_runs import FlowRuns

# Below the 1 MiB or so that the API server takes; in its answers each "<" has six bytes.
BIG_ARGS = ["<" * 115_000] * 8


def test_a_job_of_more_than_4_mib_does_not_end_the_watch_of_its_neighbours(
    flow_runs: FlowRuns, namespace: str
) -> None:
    async def watch_for(names: set[str]) -> None:
        left = set(names)
        path = jobs_path(namespace)
        async with (
            asyncio.timeout(60),
            aclosing(
                watch(flow_runs.cluster, path, FLOW_RUN_ID_LABEL, "0", flow_runs.cluster.patience())
            ) as events,
        ):
            async for event in events:
                if not isinstance(event, Changed):
                    began.set()
                elif (name := event.object["metadata"]["name"]) in left:
                    left.remove(name)
                    seen.append(name)
                if not left:
                    return

    async def run() -> None:
        watching = asyncio.create_task(
            watch_for({big["metadata"]["name"], small["metadata"]["name"]})
        )
        await began.wait()
        for manifest in (big, small):
            await flow_runs.cluster.create_job(manifest)
        await watching

    big, small = (flow_runs.manifest("true") for _ in range(2))
    for manifest in (big, small):
        manifest["spec"]["suspend"] = True
    big["spec"]["template"]["spec"]["containers"][0]["args"] = BIG_ARGS
    began, seen = asyncio.Event(), list[str]()
    flow_runs.loop.run(run())
    assert seen == [big["metadata"]["name"], small["metadata"]["name"]]
