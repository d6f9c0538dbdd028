"""The fixtures that all tests share."""

pytest_plugins = ["tests.cluster.fixtures", "tests.airflow.fixtures", "tests.airflow.world"]
