"""More than one machine has: clusters, executors, schedulers, queues. `make test-scale` runs it."""
