"""`headrace backtest` and `headrace freshness`: learners and policies over the past."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.commands.text_table import text_table
from headrace.deploy.settings import load_settings

if TYPE_CHECKING:
    from headrace.deploy.settings import Settings
    from headrace.learners.backtest.freshness import Freshness
    from headrace.learners.backtest.results import ArmResult, BacktestResult
    from headrace.schemas.plan import Plan

_NONE = ("", "", "")
_HOUR_MS = 3_600_000
_AGES_H = (1.0, 24.0, 168.0)
_SHOWN = {"binary": ("log_loss", "auc"), "number": ("mae", "rmse"), "category": ("log_loss", "accuracy")}
_BAR = 40  # characters of the longest


Router = Annotated[str | None, typer.Option(help="Only this router; all where none is named.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Learners at a time; one for each core where not set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def backtest(
    project: Project = HERE,
    router: Router = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Run the learners and routers of learners.py over the logs, as they would have served.

    Every prediction is answered as by the version that served then, at the same prefix of the examples.
    What is deployed gives what was served, and the digests of the lineage; for what was changed the same
    table says what it would have given. Nothing is written to Kafka or Redis.
    """
    from headrace.learners.backtest.backtest import backtest as run

    settings, in_force, plan, names = _tried(project, router)
    report = partial(say, err=True)
    results = [run(settings.kafka_access, in_force, plan, name, project, report, processes) for name in names]
    _say(results, _text, as_json)


def freshness(
    project: Project = HERE,
    router: Router = None,
    age: Annotated[
        list[float] | None, typer.Option(min=0, help="Hours; again for each. [default: 1, 24, 168]")
    ] = None,
    last: Annotated[float, typer.Option(min=0, help="Hours of predictions that are answered.")] = 24.0,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Say what freshness is worth: today's predictions, answered by versions of an hour, a day, a week ago.

    Hours are of event time. Ages beyond what the log reaches back to are left out.
    """
    from headrace.learners.backtest.freshness import freshness as run

    settings, in_force, plan, names = _tried(project, router)
    ages_ms = [round(hours * _HOUR_MS) for hours in age or _AGES_H]
    report, last_ms = partial(say, err=True), round(last * _HOUR_MS)
    kafka = settings.kafka_access
    results = [
        run(kafka, in_force, plan, name, project, ages_ms, last_ms, report, processes) for name in names
    ]
    _say(results, _curve, as_json)


def _tried(project: Path, router: str | None) -> tuple[Settings, Plan, Plan, list[str]]:
    """Return settings, the plan in force, that of the repository, and the routers that are in both."""
    from headrace.deploy.commands.apply import compile_project
    from headrace.deploy.processes import current_plan
    from headrace.schemas.errors import UnknownNameError

    settings = load_settings(project)
    _, in_force = current_plan(settings)
    plan = compile_project(project).plan
    deployed = {one.name for one in in_force.routers}
    names = [one.name for one in plan.routers if one.name in deployed]
    if router is not None and router not in names:
        raise UnknownNameError("router", router, names)
    return settings, in_force, plan, [router] if router is not None else names


def _say(results: list[Any], text: Callable[[Any], Iterator[str]], as_json: bool) -> None:
    if as_json:
        say(json.dumps([asdict(each) for each in results], indent=1))
    else:
        said = ("\n".join(text(each)) for each in results)
        say("\n\n".join(said) or "no router has been applied yet")


def _curve(result: Freshness) -> Iterator[str]:
    yield f"router {result.router}: {result.answered:,} predictions, answered by versions of each age"
    main, other = _SHOWN[result.kind]
    rows: list[tuple[str, ...]] = [("arm", "older by", main.replace("_", " "), other, "")]
    for arm, by_age in result.metrics.items():
        most = max((metrics[main] or 0.0 for metrics in by_age), default=0.0)
        for age_ms, metrics in zip(result.ages_ms, by_age, strict=True):
            _, *figures = _figures(metrics, result.kind)
            bar = "█" * round(_BAR * (metrics[main] or 0.0) / most) if most else ""
            rows.append((arm, f"{age_ms / _HOUR_MS:g} h", *figures, bar))
    yield from text_table(rows)


def _text(result: BacktestResult) -> Iterator[str]:
    counts = f"{result.closings:,} predictions that were closed, {result.labelled:,} of them with a label"
    yield f"router {result.router}: {counts}"
    rows: list[tuple[str, ...]] = [("", "", "as learned", "", "", "as served", "", "", "beside the log")]
    kind, titles = result.kind, [name.replace("_", " ") for name in _SHOWN[result.kind]]
    rows += [("arm", "definition", "examples", *titles, "answers", *titles, "")]
    for arm in result.arms:
        figures = (*_figures(arm.as_learned, kind), *_figures(arm.as_served, kind))
        rows += [(arm.name, _definition(arm), *figures, _beside(arm))]
    rows += [("router, as it was", "", *_NONE, *_figures(result.as_it_was, kind), "")]
    if result.with_these is not None:
        epochs = f"{result.same_epochs:,} epochs equal, {result.other_epochs:,} others"
        rows += [("router, with these", "", *_NONE, *_figures(result.with_these, kind), epochs)]
    yield from text_table(rows)
    shares = (f"{arm} {share:.1%}" for arm, share in result.shares.items())
    yield f"shares of the answers: {', '.join(shares)}"


def _definition(arm: ArmResult) -> str:
    if arm.is_deployed:
        return "deployed"
    return "changed" if arm.asked_as == arm.name else f"new, where {arm.asked_as} answered"


def _figures(metrics: dict[str, Any], kind: str) -> tuple[str, str, str]:
    first, second = (_number(metrics[name]) for name in _SHOWN[kind])
    return f"{metrics['count']:,}", first, second


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
