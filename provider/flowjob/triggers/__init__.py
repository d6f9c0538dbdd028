"""The triggers, by the names that Airflow's database holds.

They promise that nothing of a job spec is in their arguments, and that a cancelled trigger keeps
its Job. They may not know operators, nor what a worker does when it resumes.
"""
