"""A Job with pods that no controller and no node cares for: what a test writes is what is shown.

So thousands of pods are possible, and each state of them.
"""

from __future__ import annotations

from typing import Any

from tests.support.flow_runs import FlowRuns, Manifest

_SPEC = """
apiVersion: batch/v1
kind: Job
metadata: {{name: indexed}}
spec:
  completionMode: Indexed
  completions: {count}
  parallelism: {count}
  backoffLimit: 0
  managedBy: flowjob.test/nobody
  template:
    spec:
      restartPolicy: Never
      schedulerName: nobody
      containers: [{{name: flow-container}}]
"""


def unmanaged_job(flow_runs: FlowRuns, count: int) -> Manifest:
    """Create an Indexed Job that the Job controller leaves alone."""
    return flow_runs.create(flow_runs.manifest("true", _SPEC.format(count=count)))


def pod_manifest(job: Manifest, index: int) -> Manifest:
    """Return a pod as the Job controller would make it."""
    metadata = job["metadata"]
    name = f"{metadata['name']}-{index}"
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {**metadata["labels"], "batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": job["spec"]["template"]["spec"],
    }


def running() -> dict[str, Any]:
    """Return the status of a pod that runs its flow."""
    return _status("Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})


def ended(code: int = 0, message: str = "", second: int = 0) -> dict[str, Any]:
    """Return the status of a pod whose flow has ended, in some second after the pod was made."""
    times = {"startedAt": "2100-01-01T00:00:00Z", "finishedAt": f"2100-01-01T00:00:{second:02}Z"}
    reason = "Error" if code else "Completed"
    state = {"exitCode": code, "reason": reason, "message": message, **times}
    return _status("Failed" if code else "Succeeded", {"terminated": state})


def _status(phase: str, state: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": "flow-container",
        "image": "none",
        "imageID": "none",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }
    return {"status": {"phase": phase, "containerStatuses": [container]}}
