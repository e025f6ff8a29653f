"""Learners that learn from served features, and the routing among them."""
