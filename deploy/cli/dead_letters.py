"""`headrace dead-letters`: list and replay the records that were refused."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headrace.deploy.cli.arguments import HERE, Project, epoch_ms
from headrace.deploy.cli.console import say
from headrace.deploy.settings import Settings, load_settings
from headrace.schemas.dead_letter import Kind

if TYPE_CHECKING:
    from headrace.deploy.commands.dead_letters import Selection

app = typer.Typer(no_args_is_help=True, help="List and replay the records that could not be processed.")

Late = Annotated[bool, typer.Option("--late", help="The records that came too late instead.")]
Topic = Annotated[str | None, typer.Option(help="Only of this topic.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only of this partition.")]
OfKind = Annotated[Kind | None, typer.Option(help="Only of this kind.")]
Since = Annotated[datetime | None, typer.Option(help="Refused at this time or later, UTC.")]
Until = Annotated[datetime | None, typer.Option(help="Refused before this time, UTC.")]


@app.command(name="list")
def list_dead_letters(
    project: Project = HERE,
    late: Late = False,
    topic: Topic = None,
    partition: Partition = None,
    kind: OfKind = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many.")] = 100,
    replayed: Annotated[bool, typer.Option("--replayed", help="Also those that were replayed.")] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option(help="json: whole records, one a line.")
    ] = "table",
) -> None:
    """List the records that could not be processed, with their reasons."""
    from headrace.deploy.commands.dead_letters import DeadLetterLog, to_json, to_table

    settings = load_settings(project)
    log = DeadLetterLog(settings.kafka_access, _dead_letter_topic(settings, late))
    dead_letters = log.find(_selection(topic, partition, kind, since, until), replayed)
    shown = islice(dead_letters, limit)
    if format == "json":
        for dead_letter in shown:
            say(to_json(dead_letter))
        return
    say(to_table(shown))
    if more := sum(1 for _ in dead_letters):
        say(f"and {more:,} more: --limit {limit + more}")


@app.command()
def replay(
    project: Project = HERE,
    late: Late = False,
    topic: Topic = None,
    partition: Partition = None,
    kind: OfKind = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Send refused records to their topics again, each once."""
    from headrace.deploy.commands.dead_letters import DeadLetterLog, LoggedDeadLetter
    from headrace.deploy.commands.replay import Replay, definitions_of, objection
    from headrace.deploy.processes import current_plan

    settings = load_settings(project)
    log = DeadLetterLog(settings.kafka_access, _dead_letter_topic(settings, late))
    selection = _selection(topic, partition, kind, since, until)

    definitions = definitions_of(current_plan(settings)[1])

    def objection_to(logged: LoggedDeadLetter) -> str | None:
        return objection(logged.dead_letter, settings.project_name, definitions)

    records = {
        f.dead_letter.id: (f.dead_letter.topic, objection_to(f)) for f in islice(log.find(selection), limit)
    }
    for (name, why_not), count in sorted(Counter(records.values()).items(), key=str):
        say(f"{name}: {count:,} {'not sent: ' + why_not if why_not else 'to send'}")
    wanted = sum(why_not is None for _, why_not in records.values())
    if dry_run or not wanted:
        say("nothing was sent")
        return
    if not yes:
        typer.confirm(f"send {wanted:,} records again?", abort=True)
    chosen = (logged for logged in islice(log.find(selection), limit) if objection_to(logged) is None)
    say(f"sent {Replay(settings.kafka_access, log.topic).run(chosen):,} records")


def _dead_letter_topic(settings: Settings, late: bool) -> str:
    from headrace.schemas.topics import ProjectTopics

    name = settings.project_name
    return ProjectTopics(name).late if late else ProjectTopics(name).dead_letters


def _selection(
    topic: str | None,
    partition: int | None,
    kind: Kind | None,
    since: datetime | None,
    until: datetime | None,
) -> Selection:
    from headrace.deploy.commands.dead_letters import Selection

    return Selection(topic, partition, kind, epoch_ms(since), epoch_ms(until))
