"""Commands for what is kept offline: `headrace compact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.settings import load_settings

Project = Annotated[Path, typer.Argument(help="The Feast repository.", show_default=".")]
_HERE = Path(".")


def compact(
    project: Project = _HERE,
    target_mb: Annotated[int, typer.Option(min=1, help="Files of this size are left as they are.")] = 256,
) -> None:
    """Merge the small files of the feature log, and drop rows that are in it twice."""
    from deploy.processes import current_plan
    from featurestore.log_compaction import compact as compact_log

    settings = load_settings(project)
    _, plan = current_plan(settings)
    for done in compact_log(settings.feature_log_dir, plan, target_mb << 20):
        rows = f"{done.rows:,} rows to {done.rows_left:,}"
        typer.echo(f"{done.view}: {done.files} files of {done.days} days merged, {rows}")
