"""Windowed features from a Kafka topic to readable rows: Headrace and its peers. See docs/benchmarks.md."""
