"""The configuration of each process, built from the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.processes import join_config, serve_config, train_config, worker_config
from headrace.deploy.settings import Settings, load_settings
from headrace.learners.serving.config import HttpLimits, ServeConfig
from headrace.learners.training.config import TrainConfig
from headrace.streams.connections.schema_registry import RegistryAccess
from headrace.streams.join.config import JoinConfig
from headrace.streams.worker.config import WorkerConfig

OTHER: dict[str, Any] = {
    "checkpoint_ms": 111,
    "drain_s": 9.0,
    "fetch_wait_ms": 22,
    "host": "0.0.0.0",
    "idle_ms": 3333,
    "log_level": "DEBUG",
    "metrics_port": 4444,
    "port": 5555,
    "publish_every_s": 0.6,
    "session_timeout_ms": 7777,
    "stuck_s": 88.0,
}
_SHOWS_HEALTH_AT = {"metrics_host": "host"}  # field to the setting of another name


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)


def test_settings_that_nobody_set_lead_to_the_defaults_of_the_configs(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert worker_config(settings) == WorkerConfig()
    assert join_config(settings) == replace(JoinConfig(), archive=tmp_path / ".headrace" / "examples")
    assert train_config(settings) == TrainConfig()
    assert serve_config(settings) == ServeConfig()


@pytest.mark.parametrize("build", [worker_config, join_config, train_config, serve_config])
def test_every_setting_reaches_the_processes_that_have_it(
    tmp_path: Path, build: Callable[[Settings], Any]
) -> None:
    config = vars(build(load_settings(tmp_path, **OTHER)))
    settings = {name: _SHOWS_HEALTH_AT.get(name, name) for name in config}
    chosen = {name: OTHER[setting] for name, setting in settings.items() if setting in OTHER}
    assert len(chosen) >= 3
    assert {name: config[name] for name in chosen} == chosen


def test_the_limits_of_http_are_settings(tmp_path: Path) -> None:
    wanted = {"max_body_bytes": 5_000, "request_timeout_s": 2.5, "max_connections": 7}
    settings = load_settings(tmp_path, **wanted, allowed_hosts="router.example.com, *")
    hosts = ("router.example.com", "*")
    assert serve_config(settings).limits == HttpLimits(**wanted, allowed_hosts=hosts)
    assert {build(settings).allowed_hosts for build in (worker_config, join_config, train_config)} == {hosts}


@pytest.mark.parametrize("build", [worker_config, join_config])
def test_the_registry_is_reached_with_its_token(
    tmp_path: Path, build: Callable[[Settings], WorkerConfig | JoinConfig]
) -> None:
    registry = "https://registry:8081"
    settings = load_settings(tmp_path, schema_registry=registry, schema_registry_token="secret")
    assert build(settings).schema_registry == RegistryAccess(registry, "secret")
    assert build(load_settings(tmp_path)).schema_registry is None
