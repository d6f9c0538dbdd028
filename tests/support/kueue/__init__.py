"""Kueue: built from the go.mod beside this file, and run beside a test node's API server."""
