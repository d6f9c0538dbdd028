"""Print the Jobs that the real ``KubernetesJobEnvironment`` makes of some files with job specs."""

import json
import sys

import prefect
from prefect.environments.execution import KubernetesJobEnvironment

flow_run_id, image, *files = sys.argv[1:]
for file in files:
    environment = KubernetesJobEnvironment(job_spec_file=file)
    with prefect.context(flow_run_id=flow_run_id, namespace="flows"):
        job = environment._populate_run_time_job_spec_details(docker_name=image)
    print(json.dumps(job))
