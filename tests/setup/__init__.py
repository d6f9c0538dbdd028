"""Makes the virtual environment that everything else runs in: standard library only."""
