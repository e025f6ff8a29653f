"""`headrace audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings


def audit(
    project: Project = HERE,
    router: Annotated[
        str | None, typer.Option(help="Whose predictions.", show_default="of every router")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Predictions, drawn at random.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
) -> None:
    """Recompute served features from the raw log in SQL. Exits with 1 when a value differs or is missing."""
    from headrace.deploy.commands.audit import audit as run_audit
    from headrace.deploy.commands.audit import render
    from headrace.deploy.processes import current_plan, registry_access

    settings = load_settings(project)
    _, plan = current_plan(settings)
    names = [router] if router is not None else [spec.name for spec in plan.routers]
    folder, registry = settings.project_dir, registry_access(settings)
    reports = [run_audit(settings.kafka_access, plan, name, sample, seed, folder, registry) for name in names]
    for name, report in zip(names, reports, strict=True):
        say(f"router '{name}'\n{render(report)}")
    if not reports or not all(report.ok for report in reports):
        raise typer.Exit(1)
