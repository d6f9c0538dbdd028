"""Prefect flows under the real Prefect of each generation, each in an environment of its own."""
