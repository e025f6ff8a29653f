"""Progress: per stage and input partition, the log prefix whose effects are visible downstream.

Progress lives in one Redis hash. Each record names the plan that it follows from; under another plan it is
none. The feature stage writes it in the same pipeline as the online rows it
speaks of; the others after their output is acknowledged. Anyone can wait for a prefix: clients for their
own writes, replays and tests for a barrier, operators for readiness and lag.

=========  =========================================  =========================  ====================
stage      input                                      members                    visible means
=========  =========================================  =========================  ====================
features   event topics                               direct, shard-0, shard-1…  online rows readable
outcomes   event topics that routers take labels of   routers                    in the outcomes topic
join       predictions and outcomes topics            (one)                      in examples, closings
train      examples and closings topics               learners; epochs           in published versions, epochs
serve      examples and closings topics               replicas                   in what answers requests
=========  =========================================  =========================  ====================
"""

from headrace.streams.progress.alarms import TWO_PARTITIONS, TWO_PARTITIONS_REMEDY, alarms_key
from headrace.streams.progress.counts import read_counts, read_two_partitions
from headrace.streams.progress.processes import (
    SILENT_MS,
    ProcessRegistry,
    RunningProcess,
    processes_key,
)
from headrace.streams.progress.record import Progress, Stage, Where, counts_key, progress_field, progress_key
from headrace.streams.progress.stages import EPOCHS, REPLICA_TIMEOUT_MS, PlanStages, Until
from headrace.streams.progress.store import ProgressStore

__all__ = [
    "EPOCHS",
    "REPLICA_TIMEOUT_MS",
    "SILENT_MS",
    "TWO_PARTITIONS",
    "TWO_PARTITIONS_REMEDY",
    "PlanStages",
    "ProcessRegistry",
    "Progress",
    "ProgressStore",
    "RunningProcess",
    "Stage",
    "Until",
    "Where",
    "alarms_key",
    "counts_key",
    "processes_key",
    "progress_field",
    "progress_key",
    "read_counts",
    "read_two_partitions",
]
