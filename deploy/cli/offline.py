"""Commands for what is kept offline: `headrace compact` and `headrace dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings


def compact(
    project: Project = HERE,
    target_mb: Annotated[int, typer.Option(min=1, help="Files of this size are left as they are.")] = 256,
) -> None:
    """Merge the small files of the feature log, and drop rows that are in it twice."""
    from headrace.deploy.processes import current_plan
    from headrace.featurestore.offline.compaction import compact as compact_log

    settings = load_settings(project)
    _, plan = current_plan(settings)
    for done in compact_log(settings.feature_log_dir, plan, target_mb << 20):
        rows = f"{done.rows:,} rows to {done.rows_left:,}"
        say(f"{done.view}: {done.files} files of {done.days} days merged, {rows}")


def dataset(
    service: Annotated[str, typer.Argument(help="The feature service.")],
    entities: Annotated[Path, typer.Argument(help="CSV or Parquet: join keys and event_timestamp.")],
    output: Annotated[Path, typer.Argument(help="Parquet file to be written.")],
    project: Project = HERE,
    sense: Annotated[
        Literal["event-time", "served"],
        typer.Option("--as", help="By the feature log's latest row of that event time, or what was served."),
    ] = "event-time",
    router: Annotated[
        str | None, typer.Option(help="Whose predictions.", show_default="the one that serves it")
    ] = None,
    predictions: Annotated[
        Literal["archive", "topic"],
        typer.Option(help="The archive of examples, or all that are in the predictions topic."),
    ] = "archive",
) -> None:
    """Write the features of a service for entities at times: a training set."""
    from headrace.deploy.commands.dataset import write_dataset

    settings = load_settings(project)
    rows, with_features = write_dataset(settings, service, entities, output, sense, router, predictions)
    say(f"{output}: {rows:,} rows, {with_features:,} with a feature")
