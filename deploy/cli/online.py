"""`headrace materialize`, `rebuild`, `reset` and `retrain`: what is made anew out of what there still is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.settings import Settings, load_settings


def materialize(
    project: Project = HERE,
    end: Annotated[
        datetime | None,
        typer.Option("--until", "--end", help="Rows up to this time, UTC.", show_default="now"),
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only rows from where the last run ended on.")
    ] = False,
    overlap: Annotated[float, typer.Option(min=0, help="Hours before that, for rows that come late.")] = 0.0,
    every: Annotated[
        float | None,
        typer.Option(min=0.1, max=525_600, help="Go on: again after so many minutes, and for another plan."),
    ] = None,
) -> None:
    """Write the batch views' latest rows to the online store."""
    if every is not None:
        if end is not None:
            raise typer.BadParameter("--every goes on, --until ends at a time; give one of them")
        return _keep_materialized(load_settings(project), every, incremental, overlap)
    from headrace.deploy.processes import run_materialize

    until, before = end and end.replace(tzinfo=UTC), timedelta(hours=overlap)
    for view, rows in run_materialize(load_settings(project), until, incremental, before).items():
        say(f"{view}: {rows} rows")


def _keep_materialized(settings: Settings, minutes: float, incremental: bool, hours: float) -> None:
    from headrace.deploy.commands.keep_materialized import KeepMaterialized
    from headrace.deploy.logs import begin_log

    begin_log(settings.log_level)
    every, overlap = timedelta(minutes=minutes), timedelta(hours=hours)
    KeepMaterialized(settings, every, incremental, overlap).run(threading.Event())


def rebuild(project: Project = HERE) -> None:
    """Write the rows that the online store has lost, from the workers' changelogs and the batch views."""
    from headrace.deploy.processes import run_rebuild

    written = run_rebuild(load_settings(project), say)
    say(", ".join(f"{kind}: {count:,}" for kind, count in sorted(written.items())) or "no rows")


def reset(
    name: Annotated[str, typer.Argument(help="Name of a source with stream views; of a router with --join.")],
    project: Project = HERE,
    join: Annotated[bool, typer.Option("--join", help="The join of a router, not a source.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Throw the state of a source or of a join away, and make it anew from what its topics still have."""
    from headrace.deploy.commands.reset import run_reset
    from headrace.deploy.commands.reset_join import run_reset_join

    run = run_reset_join if join else run_reset
    run(load_settings(project), name, None if yes else _confirm, say)


def retrain(
    project: Project = HERE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Have all versions and epochs made anew, from the examples and closings that are there."""
    from headrace.deploy.commands.retrain import run_retrain

    run_retrain(load_settings(project), None if yes else _confirm, say)


def _confirm(description: str) -> None:
    say(description)
    typer.confirm("go on?", abort=True)
