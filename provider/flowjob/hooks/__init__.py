"""The hooks, by the names that Airflow's connection types hold.

They promise to read a connection and to say what of it is missing. They may know neither operators
nor flow runs.
"""
