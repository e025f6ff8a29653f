"""`headrace init`, `check`, `plan` and `apply`: a project's definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings


def init(
    directory: Annotated[Path, typer.Argument(help="Is made; its name becomes the project's.")],
) -> None:
    """Write a small working project, to be changed into one's own."""
    from headrace.deploy.commands.init import write_project

    for file in write_project(directory):
        say(f"wrote {file}")
    say(f"run it: headrace up {directory}; what it is: {directory / 'README.md'}")


def check(
    repository: Annotated[Path, typer.Argument(help="Any Feast repository.", show_default=".")] = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show of every object of a repository whether it runs, and why not. Asks no Kafka and no Redis.

    The exit code is 0 when everything runs, 1 when something is left out, 2 when `apply` would refuse.
    """
    settings = load_settings(repository)

    from headrace.deploy.commands.check import check_project

    checked = check_project(settings)
    say(checked.json() if as_json else "\n".join(checked.table()))
    raise typer.Exit(checked.exit_code)


def plan(
    project: Project = HERE,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="As `apply` with this option would do it.")
    ] = False,
) -> None:
    """Show what `apply` would change and what it costs; changes nothing.

    The exit code is 2 when `apply` would refuse it, with the same words.
    """
    settings = load_settings(project)

    from headrace.deploy.commands.apply import compile_project, prepare
    from headrace.deploy.commands.plan_report import (
        LOOK_S,
        describe_changes,
        describe_configuration,
        describe_left_out,
        describe_topics,
    )

    wanted = compile_project(settings.project_dir)
    topics, is_asked = describe_topics(settings, wanted.plan)
    say(describe_changes(settings, wanted, is_asked))
    for line in (*describe_configuration(settings, wanted), *describe_left_out(wanted), *topics):
        say(line)
    prepare(settings, wanted.plan, allow_unsafe, wanted.place_of, LOOK_S if is_asked else 0)


def apply(
    project: Project = HERE,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Also what breaks services or learners in force.")
    ] = False,
) -> None:
    """Check the definitions, register them with Feast, make the topics and store the plan."""
    settings = load_settings(project)

    from headrace.deploy.commands.apply import compile_project, prepare
    from headrace.deploy.commands.plan_report import (
        describe_changes,
        describe_configuration,
        describe_event_times,
        describe_left_out,
        describe_partitions,
        describe_topic_settings,
    )
    from headrace.deploy.secret_files import exposed_secrets

    wanted = compile_project(settings.project_dir)
    prepared = prepare(settings, wanted.plan, allow_unsafe, wanted.place_of)
    for warning in (*exposed_secrets(settings), *describe_configuration(settings, wanted)):
        say(f"warning: {warning}", err=True)
    say(describe_changes(settings, wanted, asks_kafka=True))
    for line in describe_left_out(wanted):
        say(line)
    added = describe_partitions(settings, wanted.plan)
    prepared.apply()
    misset = describe_topic_settings(settings, wanted.plan) + describe_event_times(settings, wanted.plan)
    for line in (*added, *misset):
        say(line, err=True)
    say(f"applied plan {wanted.plan.hash[:12]} of project '{wanted.plan.project}'")
