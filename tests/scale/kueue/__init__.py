"""Flow runs in the queues of a real Kueue, which runs beside the test node."""
