"""What a Celery worker imports as it starts, so that the processes it forks for tasks need not.

Airflow loads no plugin there and calls no listener, but Celery has a way of its own:
``[celery] extra_celery_config = {"imports": ["flowjob.celery_worker"]}``.
"""

from __future__ import annotations

from flowjob.preload import preload

preload()
