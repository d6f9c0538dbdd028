"""Flows of a real Prefect 0.15, packed and registered with the API of a test's own."""

import json
import subprocess
from pathlib import Path

from tests.support.fake_prefect import FakePrefect
from tests.support.prefect import prefect_packages

_CHECKOUT = Path(__file__).parents[2]
_PYTHON = "/usr/bin/python3"


def register_flows(prefect: FakePrefect, folder: Path) -> dict[str, str]:
    """Pack the flows of tests/prefect/flows/registered.py in `folder`; return their ids by name."""
    done = subprocess.run(
        [
            _PYTHON,
            str(_CHECKOUT / "tests" / "prefect" / "flows" / "registered.py"),
            str(folder),
            str(_CHECKOUT / "dags" / "job_spec.yaml"),
        ],
        env={"PYTHONPATH": str(prefect_packages("0.15")), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return {name: prefect.register("nightly", name, **each) for name, each in told.items()}
