"""The folder and module path that Feast has when it runs in a repository."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

_ONE_AT_A_TIME = threading.RLock()  # a process has one folder, whichever of its threads works


@contextlib.contextmanager
def as_feast_runs(path: Path) -> Iterator[None]:
    """Run in the folder, with its files first on the module path, without Feast's notices of experiments.

    Another thread waits until it can have its own.
    """
    with _ONE_AT_A_TIME, _in_folder(path):
        yield


@contextlib.contextmanager
def _in_folder(path: Path) -> Iterator[None]:
    before, import_path, bytecode = os.getcwd(), list(sys.path), sys.dont_write_bytecode
    os.chdir(path)
    sys.path.insert(0, str(path))
    sys.dont_write_bytecode = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"[\w ]+ (is an|are) experimental feature", RuntimeWarning)
            yield
    finally:
        os.chdir(before)
        sys.path[:] = import_path
        sys.dont_write_bytecode = bytecode
