"""The table of a batch view in the plan: another one is told by `plan`, and read from its beginning."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from feast import FileSource
from google.protobuf.json_format import MessageToDict

from headrace.schemas.feature_specs import TableSpec
from headrace.streams.connections.url_accounts import without_secrets

_FOR_PEOPLE = ("name", "description", "tags", "owner", "meta")
_SAID_APART = ("timestampField", "createdTimestampColumn")
_DIGEST = 12


def compile_table(source: Any, repo_path: Path) -> TableSpec:
    """Compile Feast's source of a batch view. Plans are read by many: accounts in it are left out.

    Parameters
    ----------
    source
        Feast's object, with what is inferred from its table.
    repo_path
        The repository: a path below it is written relative to it, as the folder differs between machines.

    Raises
    ------
    Exception
        Whatever a source of the user's raises when Feast asks it for its fields.
    """
    said = MessageToDict(source.to_proto())
    for field in (*_FOR_PEOPLE, *_SAID_APART):
        said.pop(field, None)
    place = _query(source)
    if isinstance(source, FileSource):
        place = _relative(source.path, repo_path)
        said.get("fileOptions", {}).pop("uri", None)
    connection = getattr(source, "connection_ref", None)
    options = json.dumps([said, connection.to_tags() if connection else {}], sort_keys=True)
    return TableSpec(
        place=without_secrets(place),
        timestamp_field=source.timestamp_field or "",
        created_field=source.created_timestamp_column or "",
        options=hashlib.sha256(without_secrets(options).encode()).hexdigest()[:_DIGEST],
    )


def _relative(path: str, repo_path: Path) -> str:
    if "://" in path or not Path(path).is_absolute():
        return path
    with suppress(ValueError):
        return Path(path).resolve().relative_to(repo_path.resolve()).as_posix()
    return path


def _query(source: Any) -> str:
    with suppress(Exception):  # Feast's own classes raise NotImplementedError, those of others anything
        return str(source.get_table_query_string())
    return ""
