"""As `train_process`, with a trainer that stops itself (SIGSTOP) at a seam, once.

Its configuration has ``seam``, and ``after``: at which passage of it.
"""

from __future__ import annotations

import json
import sys

from redis.client import Redis

from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.training.owned import OwnedTraining
from headrace.learners.training.trainer import Trainer
from headrace.streams.log.transactions import TransactionalProducer
from tests.support import train_process
from tests.support.pausing import Seam, install

SEAMS: dict[str, Seam] = {
    "before a step": (OwnedTraining, "step", "before"),
    "between learning and the file": (Trainer, "checkpoint", "before"),
    "between the file and the record": (ModelStore, "write", "after"),
    "between the list of files and the transaction": (TransactionalProducer, "commit", "before"),
    "inside a transaction, before its offsets": (TransactionalProducer, "_send_offsets", "before"),
    "inside a transaction, before its end": (TransactionalProducer, "_end", "before"),
    "between the record and the pointer": (TransactionalProducer, "commit", "after"),
    "before an epoch is put in force": (ModelPointers, "put_in_force", "before"),
    "inside a Redis exchange": (Redis, "parse_response", "before"),
}

if __name__ == "__main__":
    config = json.loads(sys.argv[6])
    install(SEAMS, config.pop("seam"), config.pop("after"))
    train_process.main(*sys.argv[1:6], json.dumps(config))
