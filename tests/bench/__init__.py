"""Measurements, run by hand: `make bench` and `make bench-alone`."""
