"""Jobs without pods that a test ends by itself: real to whoever watches them, and cheap."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.flow_runs import SPEC, FlowRuns, Manifest

SUSPENDED_SPEC = SPEC.replace("backoffLimit: 0", "suspend: true")


def suspended_job(flow_runs: FlowRuns) -> Manifest:
    """Create a suspended Job."""
    return flow_runs.create(flow_runs.manifest("true", SUSPENDED_SPEC))


def complete(batch_v1: Any, job: Manifest) -> None:
    """Make the Job Complete, as the Job controller would."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"startTime": now, "completionTime": now, "conditions": conditions}
    batch_v1.patch_namespaced_job_status(
        job["metadata"]["name"], job["metadata"]["namespace"], {"status": status}
    )
