"""As `worker_process`, with a worker that stops itself (SIGSTOP) at a seam, once.

`python -m tests.support.pausing_worker PLAN KAFKA REDIS IDLE_MS REGISTRY CONFIG`, where CONFIG has ``seam``,
and ``after``: at which passage of it.
"""

from __future__ import annotations

import json
import sys

from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.streams.log.transactions import TransactionalProducer
from headrace.streams.worker.owned_partition import OwnedPartition
from headrace.streams.worker.process import WorkerProcess
from tests.support import worker_process
from tests.support.pausing import Seam, install

SEAMS: dict[str, Seam] = {
    "between deciding and sending": (WorkerProcess, "_send", "before"),
    "before the rows": (RedisOnlineSink, "write", "before"),
    "inside a Redis exchange": (RedisOnlineSink, "_send_to", "within"),
    "before a checkpoint is put together": (OwnedPartition, "take_batch", "before"),
    "between a checkpoint and its transaction": (TransactionalProducer, "commit", "before"),
    "inside a transaction, before its offsets": (TransactionalProducer, "_send_offsets", "before"),
    "inside a transaction, before its end": (TransactionalProducer, "_end", "before"),
    "behind a transaction": (TransactionalProducer, "commit", "after"),
}


if __name__ == "__main__":
    config = json.loads(sys.argv[6])
    install(SEAMS, config.pop("seam"), config.pop("after"))
    worker_process.main(*sys.argv[1:6], json.dumps(config))
