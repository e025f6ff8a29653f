"""`headrace backtest`: learners and policies over the past, as they would have served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.commands.text_table import text_table
from headrace.deploy.settings import load_settings

if TYPE_CHECKING:
    from headrace.learners.backtest.results import ArmResult, BacktestResult

_NONE = ("", "", "")


def backtest(
    project: Project = HERE,
    router: Annotated[str | None, typer.Option(help="Only this router; all where none is named.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Learners at a time; one for each core where not set.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Run the learners and routers of learners.py over the logs, as they would have served.

    Every prediction is answered as by the version that served then, at the same prefix of the examples.
    What is deployed gives what was served, and the digests of the lineage; for what was changed the same
    table says what it would have given. Nothing is written to Kafka or Redis.
    """
    from headrace.deploy.commands.apply import compile_project
    from headrace.deploy.processes import current_plan
    from headrace.learners.backtest.backtest import backtest as run
    from headrace.schemas.errors import UnknownNameError

    settings = load_settings(project)
    _, in_force = current_plan(settings)
    plan = compile_project(project).plan
    deployed = {one.name for one in in_force.routers}
    known = [one.name for one in plan.routers if one.name in deployed]
    if router is not None and router not in known:
        raise UnknownNameError("router", router, known)
    results = [
        run(settings.kafka_access, in_force, plan, name, project, partial(say, err=True), processes)
        for name in known
        if router in (None, name)
    ]
    if as_json:
        say(json.dumps([asdict(each) for each in results], indent=1))
    else:
        say("\n\n".join("\n".join(_text(each)) for each in results) or "no router has been applied yet")


def _text(result: BacktestResult) -> Iterator[str]:
    counts = f"{result.closings:,} predictions that were closed, {result.labelled:,} of them with a label"
    yield f"router {result.router}: {counts}"
    rows = [("", "", "as learned", "", "", "as served", "", "", "beside the log")]
    rows += [("arm", "definition", "examples", "log loss", "auc", "answers", "log loss", "auc", "")]
    for arm in result.arms:
        figures = (*_figures(arm.as_learned), *_figures(arm.as_served))
        rows += [(arm.name, _definition(arm), *figures, _beside(arm))]
    rows += [("router, as it was", "", *_NONE, *_figures(result.as_it_was), "")]
    if result.with_these is not None:
        epochs = f"{result.same_epochs:,} epochs equal, {result.other_epochs:,} others"
        rows += [("router, with these", "", *_NONE, *_figures(result.with_these), epochs)]
    yield from text_table(rows)
    shares = (f"{arm} {share:.1%}" for arm, share in result.shares.items())
    yield f"shares of the answers: {', '.join(shares)}"


def _definition(arm: ArmResult) -> str:
    if arm.is_deployed:
        return "deployed"
    return "changed" if arm.asked_as == arm.name else f"new, where {arm.asked_as} answered"


def _figures(metrics: dict[str, Any]) -> tuple[str, str, str]:
    loss, area = (metrics[name] for name in ("log_loss", "auc"))
    return f"{metrics['count']:,}", _number(loss), _number(area)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _beside(arm: ArmResult) -> str:
    if not arm.is_deployed:
        return ""
    equal = len(arm.compared) - len(arm.different)
    told = f"{arm.same_scores:,} answers and {equal:,} digests equal"
    if arm.other_scores or arm.different:
        versions = f" ({', '.join(arm.different)})" if arm.different else ""
        told += f", {arm.other_scores:,} answers and {len(arm.different):,} digests others{versions}"
    return told
