"""Exactly one Job per flow run where tasks run in Celery's workers, two of them on one broker."""
