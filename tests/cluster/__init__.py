"""A real Kubernetes cluster for the tests: the one in KUBECONFIG, or a node of our own."""
