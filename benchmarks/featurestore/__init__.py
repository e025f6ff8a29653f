"""The online store: Headrace, stock Feast, and a raw redis-py pipeline on the same rows."""
