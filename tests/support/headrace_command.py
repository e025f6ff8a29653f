"""Runs `headrace` in the process of the test: one of its own would import for seconds of CPU what is here."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from headrace.deploy.cli.main import main


def run_headrace(
    words: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with nothing but this environment; return as `subprocess.run` does."""
    printed, complained = io.StringIO(), io.StringIO()
    argv = ["headrace", *words]
    with (
        contextlib.chdir(folder),
        mock.patch.dict("os.environ", environment, clear=True),
        mock.patch("sys.argv", argv),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complained),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(argv, status, printed.getvalue(), complained.getvalue())
