"""Run flows on Kubernetes Jobs that their users wrote, under Apache Airflow."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Describe this provider to Airflow (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "airflow-provider-flowjob",
        "name": "FlowJob",
        "description": "Run flows on Kubernetes Jobs that you wrote yourself.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "FlowJob",
                "external-doc-url": "https://kubernetes.io/docs/concepts/workloads/controllers/job/",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": "FlowJob",
                "python-modules": ["flowjob.operators.flow_job", "flowjob.operators.sweep"],
            }
        ],
        "triggers": [
            {
                "integration-name": "FlowJob",
                "python-modules": ["flowjob.triggers.flow_job"],
            }
        ],
        "hooks": [
            {"integration-name": "FlowJob", "python-modules": ["flowjob.hooks.prefect"]},
        ],
        # `airflow flow-job`, in Airflow 3.2 and later.
        "cli": ["flowjob.cli.airflow_commands.get_commands"],
        "connection-types": [
            {
                "connection-type": "prefect",
                "hook-class-name": "flowjob.hooks.prefect.PrefectHook",
            }
        ],
    }
