"""The peers' programs: `python -m benchmarks.streams.peers.NAME JOB`, each in its own environment.

Each module has one function, `run(job)`: it sets up, reads the topic to its end, and ends once everything is
readable. All but Headrace's own
import nothing of it.
"""
