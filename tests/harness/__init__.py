"""What stands behind the other tests is as good as they take it to be."""
