"""The one Job of a flow run: its manifest, adopted or created, and killed.

It promises exactly one Job for a flow run, whatever dies, and none after a kill. It may know the
cluster, but nothing of Airflow.
"""
