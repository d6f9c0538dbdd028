"""The API server of an Airflow connection, async, as plain dicts.

The only room that talks to Kubernetes. It promises to wait for a server that is away and to say why
one refuses. It may know how a connection is loaded, but not what a flow run is waited for.
"""
