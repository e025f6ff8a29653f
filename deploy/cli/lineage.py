"""`headrace lineage`: where features come from and who uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
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
    from headrace.learners.models.versions import each_version

    settings = load_settings(project)
    client, plan = current_plan(settings)
    versions = each_version(settings.kafka_access, plan.project)
    traced = Lineage(plan, ModelVersions(client, plan.project, versions))
    features = traced.all() if feature == _ALL else traced.find(feature)
    chosen = [each for each in features if each.is_unused or not unused]
    if as_json:
        say(json.dumps([asdict(each) | {"unused": each.is_unused} for each in chosen], indent=1))
    else:
        say("\n".join(_text(chosen)) or "no unused features")


def _text(features: Sequence[FeatureLineage]) -> Iterator[str]:
    for feature in features:
        yield f"{feature.name}: {feature.dtype} per {', '.join(feature.entities) or 'request'}"
        if feature.description:
            yield f"    {feature.description}"
        described = {"owner": feature.owner}
        described |= {f"tag {name}": value for name, value in feature.tags.items()}
        rows = [(name, value) for name, value in described.items() if value]
        rows += [("from", source) for source in feature.sources]
        rows += [("computed", step) for step in feature.transformations]
        rows += [("taken by", f"on demand feature view {view}") for view in feature.on_demand]
        rows += [("in service", service) for service in feature.services]
        rows += [("read by", _use(use)) for use in feature.learners]
        yield from (f"    {name:<12}{value}" for name, value in rows)
        if feature.is_unused:
            yield "    unused: in no feature service"


def _use(use: LearnerUse) -> str:
    parts = [f"learner {use.learner}" if use.in_force else f"learner {use.learner} (not any more)"]
    parts += [f"router {router}" for router in use.routers]
    parts += [f"versions {', '.join(map(str, use.versions))}"] if use.versions else ["no version yet"]
    told = ", ".join(map(str, use.otherwise))
    parts += [f"by another definition in {told}"] if told else []
    parts += [f"serving {use.serving}"] if use.serving else []
    parts += [f"not known of versions {', '.join(map(str, use.unknown))}"] if use.unknown else []
    return ", ".join(parts)
