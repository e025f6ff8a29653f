"""`headrace models`: versions of learners, and what operators do with them."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headrace.deploy.cli.arguments import HERE
from headrace.deploy.cli.console import say
from headrace.deploy.settings import load_settings

if TYPE_CHECKING:
    from headrace.learners.models.history import Deed
    from headrace.learners.models.operations import Kind
    from headrace.learners.operating.desk import ListedVersion, ModelDesk

app = typer.Typer(no_args_is_help=True, help="Versions of learners: see, compare and make them again; act.")
Model = Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")]
Named = Annotated[Path, typer.Option("--project", help="The Feast repository.", show_default=".")]
Why = Annotated[str, typer.Option("--why", help="The reason; it stays in the log.")]
Who = Annotated[str | None, typer.Option("--who", help="Who does it.", show_default="the user")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the trainer.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
_WAIT_S = 30.0


@app.command(name="list")
def list_models(
    model: Annotated[str | None, typer.Argument(help="NAME; all learners without.")] = None,
    project: Named = HERE,
    every: Annotated[bool, typer.Option("--all", help="Also versions that were thinned.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the versions of learners: which serve, are pinned, and are kept."""
    from headrace.deploy.commands.text_table import text_table

    desk, names = _desk(project)
    found = [
        one
        for name in ([_parts(model)[0]] if model else names)
        for one in (desk.versions(name) if every else desk.kept(name))
    ]
    if as_json:
        return say(json.dumps([one.to_json() for one in found], indent=1))
    header = ("model", "state", "event time", "examples", "log loss", "auc")
    for line in text_table([header, *map(_row, found)]):
        say(line)


@app.command()
def show(model: Model, project: Named = HERE, as_json: AsJson = False) -> None:
    """Show a version, the one that serves where none is named, and what operators did with its learner."""
    desk, _ = _desk(project)
    name, version = _parts(model)
    found, deeds = desk.find(name, version), desk.deeds(name)
    if as_json:
        return say(json.dumps(found.to_json() | {"operations": [*map(_deed_json, deeds)]}, indent=1))
    for field, value in found.to_json().items():
        say(f"{field:<12}{value}")
    for deed in deeds:
        say(_deed_text(deed))


@app.command()
def diff(one: Model, other: Model, project: Named = HERE) -> None:
    """Show what two versions differ in."""
    from headrace.deploy.commands.text_table import text_table
    from headrace.learners.operating.desk import differences

    desk, _ = _desk(project)
    first, second = (desk.find(*_parts(model)).published for model in (one, other))
    rows = [(field, str(left), str(right)) for field, left, right in differences(first, second)]
    names = (f"{each.name}@{each.version}" for each in (first, second))
    for line in text_table([("", *names), *rows]):
        say(line)


@app.command()
def replay(model: Model, project: Named = HERE) -> None:
    """Make a version again from the examples and compare digests; exit code 1 where they differ."""
    from headrace.deploy.processes import current_plan
    from headrace.learners.operating.replay import replay_version
    from headrace.learners.project import load_project

    settings = load_settings(project)
    desk, _ = _desk(project)
    name, version = _parts(model)
    wanted = desk.find(name, version).published.version
    plan = current_plan(settings)[1]
    made = replay_version(settings.kafka_access, plan, load_project(settings.project_dir), name, wanted)
    said = "the same model" if made.is_same else "ANOTHER model"
    say(f"{name}@{wanted}: {said} of {made.examples:,} examples")
    say(f"published {made.published.digest}")
    say(f"replayed  {made.digest}")
    raise typer.Exit(0 if made.is_same else 1)


@app.command()
def pin(model: Model, why: Why, project: Named = HERE, who: Who = None, wait: Wait = _WAIT_S) -> None:
    """Have a version serve, the one that serves now where none is named, until it is unpinned."""
    _do("pin", model, why, project, who, wait)


@app.command()
def unpin(model: Model, why: Why, project: Named = HERE, who: Who = None, wait: Wait = _WAIT_S) -> None:
    """Have the newest version serve again."""
    _do("unpin", model, why, project, who, wait)


@app.command()
def rollback(model: Model, why: Why, project: Named = HERE, who: Who = None, wait: Wait = _WAIT_S) -> None:
    """Have an earlier version serve, the one kept before where none is named, until it is unpinned."""
    _do("rollback", model, why, project, who, wait)


@app.command()
def promote(model: Model, why: Why, project: Named = HERE, who: Who = None, wait: Wait = _WAIT_S) -> None:
    """Have a version and its successors serve, whatever holds them back; lifts a pin."""
    _do("promote", model, why, project, who, wait)


@app.command()
def reset(
    model: Model,
    why: Why,
    project: Named = HERE,
    who: Who = None,
    wait: Wait = _WAIT_S,
    skip: Annotated[
        bool, typer.Option("--skip", help="Do not learn again what has come after that version.")
    ] = False,
) -> None:
    """Train anew: from the beginning, or from a version; what serves now serves until as much is learned."""
    _do("reset", model, why, project, who, wait, skip)


@app.command()
def card(
    model: Model,
    project: Named = HERE,
    format: Annotated[Literal["markdown", "html"], typer.Option(help="Its form.")] = "markdown",
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="stdout")] = None,
) -> None:
    """Write the model card of a version: definition, data, features, metrics, lineage, limits."""
    from headrace.deploy.processes import current_plan
    from headrace.learners.operating.card import card_of, to_html, to_markdown
    from headrace.streams.durable_files import write_atomically

    desk, _ = _desk(project)
    plan = current_plan(load_settings(project))[1]
    name, version = _parts(model)
    made = card_of(plan, desk.find(name, version), desk.deeds(name))
    text = to_html(made) if format == "html" else to_markdown(made)
    if out is None:
        return say(text)
    write_atomically(out, text.encode())
    say(f"wrote {out}")


def _do(
    kind: Kind, model: str, why: str, project: Path, who: str | None, wait_s: float, skip: bool = False
) -> None:
    desk, _ = _desk(project)
    name, version = _parts(model)
    deed = desk.order(kind, name, version, who or getpass.getuser(), why, skip)
    deed = desk.await_outcome(deed, wait_s)
    if deed.outcome is None:
        say(f"{kind} of {model} is in the log; no trainer has taken it up yet: `headrace models show {name}`")
    elif deed.outcome.refused:
        say(f"{kind} of {model} had no effect: {deed.outcome.refused}", err=True)
        raise typer.Exit(2)
    else:
        say(f"{kind} of {model}: {name}@{deed.outcome.version} serves")


def _desk(project: Path) -> tuple[ModelDesk, list[str]]:
    from headrace.deploy.processes import current_plan
    from headrace.learners.operating.desk import ModelDesk

    settings = load_settings(project)
    plan = current_plan(settings)[1]
    arms = [arm for router in plan.routers for arm in router.arms]
    return ModelDesk(settings.kafka_access, plan, settings.signing_key()), arms


def _parts(model: str) -> tuple[str, str | None]:
    """Split NAME@VERSION.

    >>> _parts("tree@3.32"), _parts("tree")
    (('tree', '3.32'), ('tree', None))
    """
    name, _, version = model.partition("@")
    return name, version or None


def _row(one: ListedVersion) -> Sequence[str]:
    version = one.published
    return (
        f"{version.name}@{version.version}",
        ", ".join(_marks(one)),
        _moment(version.time_ms),
        f"{version.examples:,}",
        _figure(version.metrics.get("log_loss")),
        _figure(version.metrics.get("auc")),
    )


def _marks(one: ListedVersion) -> Iterator[str]:
    if one.serves:
        yield "pinned" if one.pinned else "serves"
    elif one.held:
        yield "held"
    if not one.kept:
        yield "thinned"


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""


def _moment(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "seconds")


def _deed_json(deed: Deed) -> dict[str, object]:
    outcome = deed.outcome and {"at": deed.outcome.offset, **vars(deed.outcome)}
    return vars(deed.operation) | {"offset": deed.offset, "outcome": outcome}


def _deed_text(deed: Deed) -> str:
    what = deed.operation
    outcome = deed.outcome
    ended = "not taken up yet" if outcome is None else outcome.refused or f"{outcome.version} serves"
    version = f" {what.version}" if what.version else ""
    return f"{_moment(what.ts_ms)}  {what.kind}{version} by {what.who}: {what.why} ({ended})"
