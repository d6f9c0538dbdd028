"""The fixtures that all tests share."""

pytest_plugins = [
    "tests.support.cluster",
    "tests.support.airflow.fixtures",
    "tests.support.airflow.world",
    "tests.support.browser",
    "tests.support.side_by_side",
]
