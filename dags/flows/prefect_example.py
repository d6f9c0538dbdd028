"""The flow of the reference's example, as Prefect 0.x and 1.x have it.

Its environment and its storage are left out: the operator has the Job spec and the image.
"""

from prefect import Flow, task


@task
def get_value():
    return "Example!"


@task
def output_value(value):
    print(value)


flow = Flow("Kubernetes Job Environment w/ Resource Requests & Limits")

# set task dependencies using imperative API
output_value.set_upstream(get_value, flow=flow)
output_value.bind(value=get_value, flow=flow)
