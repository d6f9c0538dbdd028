"""The error of everything that keeps the node from being built, started or stopped."""


class NodeError(RuntimeError):
    """Says in one sentence what failed, where, and what to do."""
