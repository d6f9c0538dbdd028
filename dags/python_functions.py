"""Flows that are functions in the DAG file, in an image that knows nothing of them."""

from __future__ import annotations

import os

from airflow.sdk import DAG, task

flow = task.flow_job(
    job_spec_file="dummy_job_spec.yaml",
    name="python-functions",
    image=os.environ.get("FLOW_IMAGE", "python:3.13-slim"),
)


@flow
def regions() -> list[str]:
    return ["eu", "us"]


@flow
def sales(region: str, run_id: str | None = None) -> dict[str, object]:
    # What a function needs it imports itself, as it runs far from this file.
    import platform

    print(f"Sales of {region}, by Python {platform.python_version()}")
    return {"region": region, "rows": len(region), "run": run_id}


@flow
def total(found: list[dict[str, int]], factor: int) -> int:
    return factor * sum(each["rows"] for each in found)


with DAG(
    "python_functions",
    schedule=None,
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "decorator"],
    doc_md=__doc__,
) as dag:
    # One flow for each region, and one with the results of all.
    total(sales.expand(region=regions()), factor=10)

if __name__ == "__main__":
    # All in this process, without a scheduler, on the same cluster.
    dag.test()
