"""Prefect's APIs: flow runs created, read and ended there.

It promises that each request is safe to send twice, waits for what may pass, and tells a refusal in
one sentence. It may know what flows ask for, but neither Airflow nor Kubernetes.
"""
