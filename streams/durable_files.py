"""Files that are there completely or not at all, even after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def finished_as(path: Path, unfinished: Path) -> Iterator[BinaryIO]:
    """A file to be written under the name `unfinished`; at the end of the block it is synced and renamed, and
    its folder synced. When writing fails, as on a full disk, the unfinished file is removed."""
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name, flush to disk, rename; the folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished_as(path, path.with_suffix(".tmp")) as file:
        file.write(data)
