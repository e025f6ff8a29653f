"""`headrace worker`, `join`, `train` and `serve`, `up`, which runs them all, and `features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.deploy.cli.arguments import HERE, Project
from headrace.deploy.settings import load_settings


def up(
    project: Project = HERE,
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


def worker(project: Project = HERE) -> None:
    """Compute stream features: event topics to the online store."""
    from headrace.deploy.processes import run_worker

    run_worker(load_settings(project))


def join(project: Project = HERE) -> None:
    """Join predictions and outcomes into training examples."""
    from headrace.deploy.processes import run_join

    run_join(load_settings(project))


def train(project: Project = HERE) -> None:
    """Learn from the examples, publish model versions and routing epochs."""
    from headrace.deploy.processes import run_train

    run_train(load_settings(project))


def serve(
    project: Project = HERE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Answer prediction requests over HTTP."""
    from headrace.deploy.processes import run_serve

    run_serve(load_settings(project, host=host, port=port))


def features(
    project: Project = HERE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Answer feature requests over HTTP, in the format of Feast's feature server."""
    from headrace.deploy.processes import run_features

    run_features(load_settings(project, host=host, features_port=port))
