"""Run flows on Kubernetes Jobs that their users wrote, under Apache Airflow."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# The form of a connection to Prefect in Airflow's UI. Airflow 3.1 asks the hook for the names of
# its fields, and has none for the extra.
PREFECT_CONNECTION: dict[str, Any] = {
    "connection-type": "prefect",
    "hook-class-name": "flowjob.hooks.prefect.PrefectHook",
    "hook-name": "Prefect",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "login"],
        "relabeling": {"host": "API URL", "password": "API key"},
        "placeholders": {"host": "https://api.prefect.io, or http://prefect:4200/api"},
    },
    "conn-fields": {
        "tenant_id": {
            "label": "Tenant id",
            "description": "Prefect 0.x and 1.x: the tenant, where the API key has several",
            "schema": {"type": ["string", "null"]},
        },
        "account_id": {
            "label": "Account id",
            "description": "Prefect Cloud of Prefect 2 and later: the account",
            "schema": {"type": ["string", "null"]},
        },
        "workspace_id": {
            "label": "Workspace id",
            "description": "Prefect Cloud of Prefect 2 and later: the workspace in the account",
            "schema": {"type": ["string", "null"]},
        },
    },
}


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
        "task-decorators": [
            {"name": "flow_job", "class-name": "flowjob.decorators.flow_job.flow_job_task"},
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
        "connection-types": [PREFECT_CONNECTION],
    }
