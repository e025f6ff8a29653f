"""`headrace status`, `wait` and `healthy`: how far the stages are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings
from headrace.schemas.errors import SettingsError

if TYPE_CHECKING:
    from headrace.deploy.commands.status import Status
    from headrace.deploy.settings import Settings
    from headrace.schemas.plan import Plan


def status(
    project: Project = HERE, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """How far every stage is, how far behind, and what became of the records."""
    from dataclasses import asdict, replace

    from headrace.deploy.commands.plan_report import describe_event_times
    from headrace.deploy.commands.status import render_status

    settings = load_settings(project)
    plan, current = _status(settings)
    current = replace(current, event_times=tuple(describe_event_times(settings, plan)))
    say(json.dumps(asdict(current)) if as_json else render_status(plan, current))


def wait(
    topic: Annotated[str, typer.Argument(help="An event topic, or a router's predictions topic.")],
    project: Project = HERE,
    stage: Annotated[str, typer.Option(help="features, examples, models or serve.")] = "features",
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="PARTITION=OFFSET, several times.", show_default="the whole topic"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
    until: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Block until a prefix of a topic is visible downstream, or say which stage is behind."""
    from typing import get_args

    from headrace.deploy.processes import current_plan
    from headrace.streams.connections.kafka_admin import end_offsets
    from headrace.streams.progress import ProgressStore, Until

    if until is not None:
        raise SettingsError(f"--until is called --stage here: headrace wait {topic} --stage {until}")
    if stage not in get_args(Until):
        raise SettingsError(f"--stage '{stage}' is not one of {', '.join(get_args(Until))}")
    settings = load_settings(project)
    client, plan = current_plan(settings)
    if prefix:
        wanted = dict(_parse_prefix(item) for item in prefix)
    else:
        wanted = {n: end for (_, n), end in end_offsets(settings.kafka_access, [topic]).items()}
    ProgressStore(client, plan).wait(topic, wanted, stage, timeout)  # type: ignore[arg-type]
    say(f"visible in {stage}: {topic} " + " ".join(f"{n}={wanted[n]}" for n in sorted(wanted)))


def healthy(
    process: Annotated[str, typer.Argument(help="worker, join or train; `serve` has /healthz and /readyz.")],
    project: Project = HERE,
    longest: Annotated[
        float, typer.Option(help="Seconds that a standstill or a replaced plan may last.")
    ] = 120.0,
) -> None:
    """Exit with 1 when all processes of a kind stand still, or run by a plan that is not in force.

    Also where partitions were added to a topic, and their records are not processed.
    """
    from functools import partial

    from headrace.deploy.commands.healthy import (
        describe_plans,
        has_records,
        replaced,
        stands_still,
        unprocessed,
    )

    if process not in ("worker", "join", "train"):
        raise SettingsError(f"'{process}' is not one of worker, join, train")
    settings = load_settings(project)
    plan, current = _status(settings)
    say(f"{describe_plans(current, process)}; in force is {plan.hash[:12]}")
    records = partial(has_records, settings.kafka_access)
    problem = stands_still(lambda: _status(settings)[1], process, longest, records)
    problem = problem or unprocessed(plan, current, process) or replaced(plan, current, process, longest)
    if problem is not None:
        say(problem, err=True)
        raise typer.Exit(1)


def _status(settings: Settings) -> tuple[Plan, Status]:
    from headrace.deploy.commands.status import read_status, topics_read
    from headrace.deploy.processes import current_plan
    from headrace.learners.training.group import read_trainers
    from headrace.streams.connections.kafka_admin import end_offsets

    client, plan = current_plan(settings)
    kafka = settings.kafka_access
    trainers = read_trainers(kafka, plan) if plan.routers else []
    ends = end_offsets(kafka, topics_read(plan), committed=True)
    return plan, read_status(client, plan, ends, trainers)


def _parse_prefix(item: str) -> tuple[int, int]:
    partition, _, offset = item.partition("=")
    if not (partition.isdigit() and offset.isdigit()):
        raise SettingsError(f"--prefix '{item}' is not PARTITION=OFFSET, for example --prefix 0=120")
    return int(partition), int(offset)
