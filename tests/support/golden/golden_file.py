"""Golden files: the bytes of an encoding for a made-up state, as a version of it has written them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from headrace.schemas import encodings

FOLDER = Path(__file__).resolve().parents[2] / "golden"
WRITER = "0.0.0"  # in place of the Headrace version, which changes with every release
_VERSION = re.compile(rb'("v(?:ersion)?": ?)\d+')

Bytes = list[bytes]


def with_version_9(found: Sequence[bytes]) -> Bytes:
    """Bytes as a version that nobody knows yet may write them: JSON of the same length."""
    return [_VERSION.sub(rb"\g<1>9", each, count=1) for each in found]


@dataclass(frozen=True)
class Golden:
    """One encoding.

    Attributes
    ----------
    version
        What is written today.
    write
        Gives the bytes of the made-up state.
    read
        Takes up bytes of any version that is read, and gives the bytes of that state as of today.
    newer
        Makes bytes of a version that is not known out of those of today; None where none is refused.
    canonical
        What must stay the same; for formats of others, such as Parquet, not the bytes themselves.
    """

    version: int
    write: Callable[[], Bytes]
    read: Callable[[Bytes], Bytes]
    newer: Callable[[Sequence[bytes]], Bytes] | None = with_version_9
    canonical: Callable[[Bytes], Any] = list

    def written(self) -> Bytes:
        """The bytes that this code writes."""
        with patch.object(encodings, "headrace_version", lambda: WRITER):
            return self.write()

    def read_again(self, found: Bytes) -> Bytes:
        """Bytes of today of what was read."""
        with patch.object(encodings, "headrace_version", lambda: WRITER):
            return self.read(found)


def golden_path(name: str, version: int) -> Path:
    """Where the bytes of a version of an encoding are."""
    return FOLDER / f"{name}.{version}.json"


def load(path: Path) -> Bytes:
    """The bytes of a golden file."""
    found = json.loads(path.read_text())["bytes"]
    return [bytes.fromhex(each["hex"]) if isinstance(each, dict) else each.encode() for each in found]


def save(path: Path, name: str, version: int, found: Sequence[bytes]) -> None:
    """Write a golden file."""
    shown = [_shown(each) for each in found]
    text = json.dumps({"encoding": name, "version": version, "bytes": shown}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n")


def _shown(raw: bytes) -> str | dict[str, str]:
    """As text where they are JSON or printable, else in hex."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {"hex": raw.hex()}
    return text if text.replace("\n", "").isprintable() else {"hex": raw.hex()}
