"""The name that the files of a backfill begin with: the hash of what it follows from."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.plans.stored_things import backfill_definition
from headrace.schemas.follows_from import log_definition, log_definition_before
from headrace.schemas.plan import Plan
from headrace.streams.state.fingerprint import definition_of

_BLOCKS = "-blocks-"


def work_definition(work: Path, plan: Plan, view: str) -> str:
    """Return the hash of what a backfill follows from; its files in a folder have it in their names.

    They were named by the hash of the feature log alone, which says nothing of the other views of the topic.
    Such files get the new name, where the state in them is that of the plan; others are nobody's.
    """
    spec = plan.stream_view(view)
    definition = backfill_definition(plan, view)
    position = f"p|{definition_of(plan, plan.source(spec.source))}".encode()
    for before in {log_definition(plan, spec), log_definition_before(plan, spec)}:
        files = sorted(Path(work).glob(f"{before}-*.parquet"))
        states = [file for file in files if _BLOCKS not in file.name]
        if states and all(_is_of(file, position) for file in states):
            blocks = [file for file in files if _BLOCKS in file.name]
            for file in (*blocks, *states):  # a state counts once its blocks are there
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    file.rename(file.with_name(file.name.replace(before, definition, 1)))
    return definition


def _is_of(file: Path, position: bytes) -> bool:
    try:
        return position in pq.read_table(file, columns=["key"])["key"].to_pylist()
    except (OSError, pa.ArrowException, KeyError):
        return False
