"""The folder and module path that Feast has when it runs in a repository."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def as_feast_runs(path: Path) -> Iterator[None]:
    """Run in the folder, with its files first on the module path, without Feast's notices of experiments."""
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
