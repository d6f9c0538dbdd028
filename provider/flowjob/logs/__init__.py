"""The logs of a flow run: followed, collected afterwards, or their last lines kept.

It promises each line once and in order, and that a log which is gone costs its lines, never the
outcome. It may know the cluster, but not what the lines are for, nor Airflow.
"""
