"""Flows of Prefect 0.15, packed as its Docker storage does; run where that Prefect is.

`python registered.py FOLDER SPEC` writes them to the folder and prints what Prefect is told.
"""

import json
import sys
from pathlib import Path
from typing import Any

from prefect import Flow, Parameter, task
from prefect.environments import KubernetesJobEnvironment
from prefect.storage import Docker
from prefect.utilities.storage import flow_to_bytes_pickle


@task
def get_value() -> str:
    """As in the reference's example."""
    return "Example!"


@task
def output_value(value: str) -> None:
    """As in the reference's example."""
    print(value)


@task
def sell(region: str) -> str:
    """Fail outside of Europe."""
    if region != "eu":
        raise ValueError(f"no region {region}")
    return region


def flows(spec: str) -> list[Any]:
    """Return the reference's example, and a flow that takes a parameter."""
    environment = KubernetesJobEnvironment(job_spec_file=spec)
    example = Flow("example", environment=environment)
    output_value.set_upstream(get_value, flow=example)
    output_value.bind(value=get_value, flow=example)
    with Flow("sales", environment=environment) as sales:
        sell(Parameter("region", default="us"))
    return [example, sales]


def main() -> None:
    """Pack the flows, and say what Prefect is told when they are registered."""
    folder, spec = sys.argv[1:]
    told = {}
    for flow in flows(spec):
        path = Path(folder) / f"{flow.name}.prefect"
        path.write_bytes(flow_to_bytes_pickle(flow))
        storage = Docker(registry_url="gcr.io/dev/", image_name="k8s-job-flow", image_tag="0.1.0")
        storage.flows[flow.name] = str(path)
        told[flow.name] = {"storage": storage.serialize(), "tasks": list(flow.slugs.values())}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
