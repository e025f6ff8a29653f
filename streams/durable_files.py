"""Files that are there completely or not at all, even after a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from headrace.schemas.errors import DiskError, HeadraceError, StateError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


def disk_error(path: str | Path, error: OSError) -> DiskError:
    """Return the error that names a file, why the disk does not take it, and the remedy.

    >>> print(disk_error("log/part.parquet", OSError(errno.ENOSPC, "No space left on device")))
    log/part.parquet cannot be written: No space left on device; make room, and run it again
    """
    remedy = "see to the disk, and run it again"
    if error.errno in _FULL:
        remedy = "make room, and run it again"
    elif error.errno in _REFUSED:
        remedy = "correct the rights of its folder, and run it again"
    elif error.errno in _IN_THE_WAY:
        remedy = "move away what is in its place, and run it again"
    return DiskError(f"{path} cannot be written: {error.strerror or error}; {remedy}")


def is_of_the_disk(error: OSError) -> bool:
    """Return whether it is the disk that does not take a file, or lets nobody write it."""
    return error.errno in (*_FULL, *_REFUSED, *_IN_THE_WAY, errno.EIO)


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Refuse a file that is damaged, or another program's, as an error that names it and the remedy.

    Raises
    ------
    StateError
        For whatever else the block raises; not for a file that is gone.
    """
    try:
        yield
    except (HeadraceError, FileNotFoundError):
        raise
    except Exception as error:  # of Arrow, many kinds
        cause = " ".join(str(error).split())
        raise StateError(f"{path} is damaged, or another program's ({cause}): {remedy}") from error


@contextmanager
def finished_as(path: Path, unfinished: Path) -> Iterator[BinaryIO]:
    """Open a file to write under the name `unfinished`.

    Its folder is made when it is missing. At the end of the block the file is synced and renamed to `path`,
    and its folder synced. When the block or the disk fails, `path` is as it was, and the unfinished file is
    removed.

    Raises
    ------
    DiskError
        When the disk does not take it.

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
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        _sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and is_of_the_disk(error):
            raise disk_error(path, error) from error
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is there completely or not at all; see `finished_as`."""
    with finished_as(path, path.with_suffix(".tmp")) as file:
        file.write(data)
