"""Made-up states of the feature store: a plan, and the files of a backfill."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.backfill.blocks import BlockFiles
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.state import BackfillState
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.plans.store import read_signature as plan_signature
from headrace.featurestore.plans.store import signature_text
from headrace.featurestore.redis_codec.decoder import decode_provenance
from headrace.featurestore.redis_codec.layout import PREFIX, PROVENANCE
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example
from headrace.schemas.signatures import Signer
from headrace.streams.join.example_archive import to_table
from headrace.streams.state.source_partition import SourcePartition
from tests.support.golden.golden_file import Bytes
from tests.support.golden.join_states import a_router, write_records
from tests.support.golden.stream_states import a_plan, write_partition

_SPAN = Span(1_000, None)


def write_plan() -> Bytes:
    return [a_plan().model_copy(update={"routers": (a_router(),)}).to_json().encode()]


def read_plan(found: Bytes) -> Bytes:
    return [Plan.from_json(found[0]).to_json().encode()]


def write_signature() -> Bytes:
    return [signature_text(Signer(b"0123456789abcdef", "plan").sign("web", "3f2a")).encode()]


def read_signature(found: Bytes) -> Bytes:
    signature = plan_signature(found[0].decode())
    assert Signer(b"0123456789abcdef", "plan").fits(signature, "web", "3f2a")
    return [signature_text(str(signature)).encode()]


def write_backfill() -> Bytes:
    entries = write_partition()
    return _saved(list(zip(entries[::2], entries[1::2], strict=True)))


def read_backfill(found: Bytes) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "state.parquet")
        file.write_bytes(found[0])
        return _saved(BackfillState(file, _partition(), _SPAN).entries())


def _saved(entries: Sequence[tuple[bytes, Any]]) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        file, state = Path(folder, "state.parquet"), _partition()
        state.restore(entries)
        for group in state.groups.values():
            group.move(0)
        BackfillState(file, state, _SPAN).save()
        return [file.read_bytes()]


def _partition() -> SourcePartition:
    plan = a_plan()
    return SourcePartition(plan, plan.sources[0], 0)


def write_blocks() -> Bytes:
    return _spooled([(2_200, 0, b"\x00one"), (2_300, 0, b"another")])


def read_blocks(found: Bytes) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "d-blocks-00003-000000000000007.parquet").write_bytes(found[0])
        blocks = BlockFiles(Path(folder), "d", 3).read(0)
        return _spooled([(one.appended_ms, 0, one.block) for one in blocks])


def _spooled(blocks: Sequence[tuple[int, int, bytes]]) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        BlockFiles(Path(folder), "d", 3).write(7, blocks)
        (file,) = Path(folder).iterdir()
        return [file.read_bytes()]


def newer_parquet(found: Sequence[bytes]) -> Bytes:
    table, file = pq.read_table(io.BytesIO(found[0])), io.BytesIO()
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"v": b"9"}), file)
    return [file.getvalue()]


def parquet_content(found: Bytes) -> Any:
    """What a Parquet file says: the bytes around it are those of the library that wrote it."""
    table = pq.read_table(io.BytesIO(found[0]))
    metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    columns = {field.name: str(field.type) for field in table.schema}
    return json.dumps([metadata, columns], sort_keys=True), table.to_pylist()


def write_provenance() -> Bytes:
    return [PROVENANCE.pack(3, 1 << 40, -7, bytes(8))]


def read_provenance(found: Bytes) -> Bytes:
    provenance = decode_provenance(found[0])
    assert provenance is not None
    return [PROVENANCE.pack(*provenance, found[0][PREFIX.size :] or bytes(8))]


def write_feature_log() -> Bytes:
    """The name of a file of no rows, which has the definition in it, and its columns."""
    with tempfile.TemporaryDirectory() as folder:
        log = ViewLog(Path(folder), a_plan(), "by_user")
        log.open()
        (file,) = log.files()
        return [str(file.relative_to(folder)).encode(), _columns(pq.read_schema(file))]


def read_feature_log(found: Bytes) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, found[0].decode())
        file.parent.mkdir(parents=True)
        file.touch()
        assert ViewLog(Path(folder), a_plan(), "by_user").files() == [file]
        return write_feature_log()


def write_archive() -> Bytes:
    """Columns of the archive of examples."""
    example = Example.model_validate_json(write_records()[2])
    return [_columns(to_table([example]).schema)]


def read_archive(found: Bytes) -> Bytes:
    return write_archive()


def _columns(schema: pa.Schema) -> bytes:
    return "\n".join(f"{field.name}: {field.type}" for field in schema).encode()
