"""A lock on a directory, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headrace.schemas.errors import SettingsError

LOCK_FILE = "lock"


class DirectoryLock:
    """A file `LOCK_FILE` in a directory, locked and with the id of the process that holds it.

    The kernel releases it with the process, however that ends: a file that is left over locks nothing.

    Parameters
    ----------
    directory
        Is made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        SettingsError
            When another process holds it; names that.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        file = os.open(self._directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(file, 32).decode().strip() or "another one"
            os.close(file)
            raise SettingsError(
                f"the data directory {self._directory} is in use by process {holder}, which runs this "
                "project: stop that one, or set HEADRACE_DATA_DIR to another directory"
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Give the lock up; without effect when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
