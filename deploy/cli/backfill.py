"""`headrace backfill`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project, epoch_ms
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]


def backfill(
    view: Annotated[str, typer.Argument(help="The stream feature view.")],
    project: Project = HERE,
    start: Annotated[
        datetime | None, typer.Option("--from", formats=_TIMES, help="Rows as of this time or later, UTC.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=_TIMES, help="Rows as of before this time, UTC.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Parquet or CSV, a file or folder.", show_default="the topic in Kafka")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="At a time.", show_default="one per CPU")
    ] = None,
    hand_over: Annotated[
        bool, typer.Option(help="Give the state to a worker that has not begun yet.")
    ] = True,
) -> None:
    """Run the window code over past events into the feature log; run it again to go on where it stopped."""
    from headrace.deploy.commands.backfill import Backfill
    from headrace.deploy.processes import current_plan, rebuild_stream_rows, registry_access
    from headrace.featurestore.backfill.span import Span
    from headrace.featurestore.online.rebuild import RedisRebuildStore

    settings = load_settings(project)
    _, plan = current_plan(settings)
    work = Backfill(
        plan,
        view,
        settings.kafka_access,
        settings.feature_log_dir,
        settings.data / "backfill" / view,
        Span(epoch_ms(start), epoch_ms(end)),
        events,
        settings.project_dir,
        registry_access(settings),
    )
    work.run(processes or os.cpu_count() or 1, say)
    store = RedisRebuildStore(settings.redis, plan)
    if hand_over and work.hand_over(store, say) == "before":
        rebuild_stream_rows(settings, plan, say)
