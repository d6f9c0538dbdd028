"""``@task.flow_job``: a Python function of a DAG file as a flow.

It promises that the function runs in the flow container as it does in a worker, its arguments and
its result as JSON. It may know the operator, which does all else.
"""
