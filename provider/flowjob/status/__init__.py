"""What the cluster shows of a flow run, and what that means.

It promises a cause in Kubernetes' own words, with a remedy where one is well known. Pure: it may
know neither Airflow, a cluster, nor the clock.
"""
