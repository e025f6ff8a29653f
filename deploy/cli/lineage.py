"""`headrace lineage`: where features come from and who uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.settings import load_settings

if TYPE_CHECKING:
    from headrace.learners.lineage import FeatureLineage, LearnerUse

_ALL = "all"


def lineage(
    feature: Annotated[
        str, typer.Argument(help="view:feature, the name of a feature or of a view, or `all`.")
    ] = _ALL,
    project: Project = HERE,
    unused: Annotated[bool, typer.Option("--unused", help="Only those in no feature service.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Where features come from, and which services, learners and model versions use them."""
    from dataclasses import asdict

    from headrace.deploy.processes import current_plan
    from headrace.learners.lineage import Lineage, ModelVersions

    settings = load_settings(project)
    client, plan = current_plan(settings)
    known = Lineage(plan, ModelVersions(client, plan.project, settings.models_dir))
    found = known.all() if feature == _ALL else known.find(feature)
    chosen = [one for one in found if one.is_unused or not unused]
    if as_json:
        typer.echo(json.dumps([asdict(one) | {"unused": one.is_unused} for one in chosen], indent=1))
    else:
        typer.echo("\n".join(_text(chosen)) or "no unused features")


def _text(features: Sequence[FeatureLineage]) -> Iterator[str]:
    for one in features:
        yield f"{one.name}: {one.dtype} per {', '.join(one.entities) or 'request'}"
        if one.description:
            yield f"    {one.description}"
        about = {"owner": one.owner} | {f"tag {name}": value for name, value in one.tags.items()}
        rows = [(name, value) for name, value in about.items() if value]
        rows += [("from", source) for source in one.sources]
        rows += [("computed", step) for step in one.transformations]
        rows += [("taken by", f"on demand feature view {view}") for view in one.on_demand]
        rows += [("in service", service) for service in one.services]
        rows += [("read by", _use(use)) for use in one.learners]
        yield from (f"    {name:<12}{value}" for name, value in rows)
        if one.is_unused:
            yield "    unused: in no feature service"


def _use(use: LearnerUse) -> str:
    told = [f"learner {use.learner}" if use.in_force else f"learner {use.learner} (not any more)"]
    told += [f"router {router}" for router in use.routers]
    told += [f"versions {', '.join(map(str, use.versions))}"] if use.versions else ["no version yet"]
    told += [f"serving {use.serving}"] if use.serving else []
    told += [f"not known of versions {', '.join(map(str, use.unknown))}"] if use.unknown else []
    return ", ".join(told)
