"""What stands in the flow container's environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import pytest

from flowjob.exceptions import FlowError
from flowjob.launch.environment import check_user_environment, flow_environment, parameters_json
from tests.unit.spec.test_job_spec import SPEC, load
from tests.unit.test_flow_run import FLOW_RUN


def environment() -> dict[str, str]:
    return flow_environment(
        FLOW_RUN,
        load(SPEC),
        parameters='{"price": "$(COST)"}',
        airflow={"AIRFLOW_CTX_DAG_ID": "nightly"},
        flow={"PREFECT__X": "a$b"},
    )


def test_a_flow_knows_its_run_its_parameters_and_where_its_result_goes() -> None:
    assert environment() == {
        "FLOW_RUN_ID": FLOW_RUN.flow_run_id,
        "FLOW_PARAMETERS": '{"price": "$$(COST)"}',
        "FLOW_RESULT_PATH": "/dev/termination-log",
        "FLOW_RESULT_LIMIT": "4096",
        "AIRFLOW_CTX_DAG_ID": "nightly",
        "PREFECT__X": "a$$b",
    }


@pytest.mark.parametrize(
    "value", [1, True, None, ["a"], {}, {"secret": "a"}, {"fieldRef": {}, "secretKeyRef": {}}]
)
def test_a_variable_that_is_no_string_is_named_without_its_value(value: Any) -> None:
    with pytest.raises(FlowError, match=r"'PORT' has a value of type .*: .*quotes"):
        check_user_environment({"PORT": value})


def test_a_variable_may_come_from_a_secret() -> None:
    check_user_environment({"KEY": {"secretKeyRef": {"name": "prefect", "key": "key"}}})


def test_parameters_travel_as_json() -> None:
    assert json.loads(parameters_json({"a": [1, None, "é"]})) == {"a": [1, None, "é"]}


class Outputs(Sequence[Any]):
    """What Airflow gives for the output of a mapped task: a sequence, and no list."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]


def test_the_outputs_of_a_mapped_task_reach_the_flow_as_a_list() -> None:
    outputs = Outputs({"region": "eu"}, Outputs(1, 2), MappingProxyType({"a": 1}))
    expected = {"all": [{"region": "eu"}, [1, 2], {"a": 1}]}
    assert json.loads(parameters_json({"all": outputs})) == expected


def test_parameters_larger_than_a_variable_are_refused() -> None:
    longest = 2**17 - len('FLOW_PARAMETERS={"a": ""}') - 1
    assert parameters_json({"a": "x" * longest})
    with pytest.raises(FlowError, match="write them to storage and pass a reference"):
        parameters_json({"a": "x" * (longest + 1)})


@pytest.mark.parametrize(
    "parameters", [[1], "a", {"a": object()}, {"a": float("nan")}, {"a": b"a"}, {"a": {1}}]
)
def test_parameters_that_are_no_json_are_refused(parameters: Any) -> None:
    with pytest.raises(FlowError, match="parameters"):
        parameters_json(parameters)
