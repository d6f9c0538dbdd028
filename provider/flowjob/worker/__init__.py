"""One try of a task in a worker: from what Airflow calls to what it is told.

It promises that each entry has a session, hears of kills and time-outs, and tells errors Airflow's
way. It may know Airflow's task context, but no operator and no trigger.
"""
