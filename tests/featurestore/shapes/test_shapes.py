"""Repositories in the shape of public ones run, unmodified, and both clients answer alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from feast.data_source import PushMode

from tests.support.feast_online import take_hashes
from tests.support.shape_page import PAGE, check_as_it_is, section
from tests.support.shape_run import Answers, ShapeRun, run_command
from tests.support.shapes import NAMES, adopt, copy_shape, streams

MakeRun = Callable[[str], ShapeRun]


@pytest.fixture
def make_run(
    tmp_path: Path, project: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> MakeRun:
    """Check, plan, apply and materialize a shape. There is no Kafka unless the environment names one."""
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)

    def make(name: str, kafka: str = f"127.0.0.1:{free_port}") -> ShapeRun:
        monkeypatch.setenv("HEADRACE_KAFKA", kafka)
        shape = copy_shape(name, tmp_path / name)
        monkeypatch.chdir(shape.repository)
        checked = check_as_it_is(shape)
        assert section(name, shape, checked) in PAGE.read_text(), "python -m tests.support.shape_page"
        assert checked.exit_code == (1 if checked.counts()["cannot"] else 0)
        adopt(shape, project, redis_url)
        cannot = [verdict.name for verdict in checked.verdicts if verdict.outcome == "cannot"]
        assert left_out(run_command(shape.repository, "plan")[1], cannot) == len(cannot)
        for command in ("apply", "materialize"):
            code, output = run_command(shape.repository, command)
            assert code == 0, output
        return ShapeRun(shape, redis_url, project)

    return make


def left_out(plan: str, names: list[str]) -> int:
    """How many objects `plan` says that it leaves out; each has to be among these."""
    _, _, rest = plan.partition("Left out, the rest runs:\n")
    lines = list(itertools.takewhile(lambda line: line.startswith("  "), rest.splitlines()))
    assert all(any(f" '{name}': " in line for name in names) for line in lines), lines
    return len(lines)


def checked_answers(run: ShapeRun) -> dict[str, Answers]:
    answers = {}
    for service in run.plan.services:
        ours, feasts = run.online(service.name)
        assert ours == feasts, service.name
        check_over_http(ours, run.online_over_http(service.name))
        check_values(ours)
        answers[service.name] = ours
    return answers


def check_training_sets(run: ShapeRun) -> None:
    for service in run.plan.services:
        ours = run.trained(service.name)
        check_values(ours)
        if error := run.shape.feast_fails.get(service.name):
            with pytest.raises((KeyError, TypeError)) as failure:
                run.feast_trained(service.name)
            assert failure.type.__name__ == error
        else:
            feasts = run.feast_trained(service.name)
            assert ours == {name: feasts[name] for name in ours}, service.name


def check_pushes(run: ShapeRun) -> None:
    """What our client pushes is read by all, as are the same rows when Feast's does, and over HTTP."""
    for source, rows in run.shape.pushed.items():
        assert all(count == len(rows) for count in run.client.push(source, rows).values())
    pushed = checked_answers(run)
    start_again(run)
    for source, rows in run.shape.pushed.items():
        run.store.push(source, rows.to_pandas(maps_as_pydicts="strict"), to=PushMode.ONLINE)
    assert checked_answers(run) == pushed
    start_again(run)
    for source, rows in run.shape.pushed.items():
        assert all(count == len(rows) for count in run.push_over_http(source, rows).values())
    assert checked_answers(run) == pushed


def start_again(run: ShapeRun) -> None:
    """Leave of the rows those of the tables."""
    take_hashes(run.redis_url, run.project)
    run_command(run.folder, "materialize")


def check_over_http(answers: Answers, over_http: Answers) -> None:
    """Feast's format has seconds for times, and texts for features of type Json."""
    assert answers.keys() == over_http.keys()
    for name, column in answers.items():
        for value, found in zip(column, over_http[name], strict=True):
            is_text = isinstance(found, str) and not isinstance(value, str)
            assert _as_json(value) == (json.loads(found) if is_text else found), name


def _as_json(value: Any) -> Any:
    if isinstance(value, str) and value.endswith("+00:00"):
        return int(datetime.fromisoformat(value).timestamp())
    return json.loads(json.dumps(value))


def check_values(answers: Answers) -> None:
    """Clients that agree on nothing at all agree on nothing."""
    assert [name for name, column in answers.items() if all(value is None for value in column)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if not streams(name)])
def test_both_clients_answer_alike(make_run: MakeRun, name: str) -> None:
    run = make_run(name)
    checked_answers(run)
    check_training_sets(run)
    if run.shape.pushed:
        check_pushes(run)


@pytest.mark.parametrize("name", [name for name in NAMES if streams(name)])
def test_what_is_computed_of_a_topic_is_read_alike(
    make_run: Callable[..., ShapeRun], kafka_bootstrap: str, name: str
) -> None:
    run = make_run(name, kafka_bootstrap)
    run.stream(kafka_bootstrap)
    checked_answers(run)
    check_training_sets(run)


def test_a_row_older_than_its_ttl_is_served_by_feast_alone(make_run: MakeRun) -> None:
    """As the tables say of views with a ttl."""
    run = make_run("hospital")
    take_hashes(run.redis_url, run.project)
    file = run.folder / "data" / "stays.parquet"
    stays = pq.read_table(file)
    for column in ("event_timestamp", "created_timestamp"):
        earlier = pc.subtract(stays[column], timedelta(days=40))  # the ttl of a ward is 30 days
        stays = stays.set_column(stays.column_names.index(column), column, earlier)
    pq.write_table(stays, file)
    run_command(run.folder, "materialize")
    ours, feasts = run.online("planning")
    for name, column in ours.items():
        assert column == ([None] * len(column) if name.startswith("ward_load__") else feasts[name])
    check_values(feasts)
