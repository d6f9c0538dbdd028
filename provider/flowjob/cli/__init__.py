"""The command ``flowjob``, also as ``airflow flow-job``: what people ask for from a shell.

It promises one line an error and an exit code, and that looking creates nothing. It may know all
rooms; none knows it.
"""
