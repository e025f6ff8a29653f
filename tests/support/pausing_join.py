"""As `join_process`, with a join that stops itself (SIGSTOP) at a seam, once.

Its configuration has ``seam``, and ``after``: at which passage of it.
"""

from __future__ import annotations

import json
import sys

from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.join.outcome_intake import OutcomeIntake
from headrace.streams.join.outcome_intakes import OutcomeIntakes
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.log.transactions import TransactionalProducer
from tests.support import join_process
from tests.support.pausing import Seam, install

SEAMS: dict[str, Seam] = {
    "before a batch is put together": (OwnedPartition, "take_batch", "before"),
    "between a batch and its transaction": (TransactionalProducer, "commit", "before"),
    "inside a transaction, before its offsets": (TransactionalProducer, "_send_offsets", "before"),
    "inside a transaction, before its end": (TransactionalProducer, "_end", "before"),
    "behind a transaction": (TransactionalProducer, "commit", "after"),
    "before progress": (HashPublisher, "publish", "before"),
}
INTAKE_SEAMS: dict[str, Seam] = {  # of outcomes out of event topics
    "before events are read": (OutcomeIntake, "read", "before"),
    "between outcomes and their mark": (OutcomeIntake, "_mark", "before"),
    "before outcomes are put together": (OutcomeIntakes, "take_batch", "before"),
    "between outcomes and their transaction": (TransactionalProducer, "commit", "before"),
    "inside the transaction of outcomes": (TransactionalProducer, "_end", "before"),
}

if __name__ == "__main__":
    config = json.loads(sys.argv[5])
    install(SEAMS | INTAKE_SEAMS, config.pop("seam"), config.pop("after"))
    join_process.main(*sys.argv[1:5], json.dumps(config))
