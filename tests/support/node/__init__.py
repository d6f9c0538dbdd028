"""The project's own single-node Kubernetes cluster; `node.py` is where to begin."""
