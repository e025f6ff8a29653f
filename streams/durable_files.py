"""Files that are there completely or not at all, even after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def finished_as(path: Path, unfinished: Path) -> Iterator[BinaryIO]:
    """Open a file to write under the name `unfinished`.

    At the end of the block the file is synced and renamed to `path`, and its folder synced. When the block or
    the disk fails, `path` is as it was, and the unfinished file is removed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "part"
    >>> with finished_as(path, path.with_suffix(".unfinished")) as file:
    ...     _ = file.write(b"rows")
    >>> path.read_bytes()
    b'rows'
    """
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
    """Write a file that is there completely or not at all. Its folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished_as(path, path.with_suffix(".tmp")) as file:
        file.write(data)
