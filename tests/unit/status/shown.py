"""A Job and its pods as the cluster shows them, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from flowjob.status.observation import Observation

CRASHED = {"exitCode": 4, "reason": "Error", "finishedAt": "2"}
NOT_FOUND = {"exitCode": 128, "reason": "StartError", "message": 'exec: "/x": no such file\n'}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, **metadata: Any) -> Any:
    status = {"name": "flow", "state": state, "restartCount": 2 if last else 0}
    status["lastState"] = {"terminated": last} if last else {}
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {
            "restartPolicy": "OnFailure" if last else "Never",
            "containers": [{"name": "flow", "image": "flows:1"}],
        },
        "status": {"containerStatuses": [status]},
    }


def seen(*pods: Any, condition: str = "", **job: Any) -> Observation:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    job = {"metadata": {"name": "job"}, "status": {"conditions": conditions}, **job}
    return Observation(job, {str(number): each for number, each in enumerate(pods)})
