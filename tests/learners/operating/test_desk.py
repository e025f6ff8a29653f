"""What an operator sees and does: lists, cards, replays and operations; and the same over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.models.store import ModelStore
from headrace.learners.operating.card import card_of, to_html, to_markdown
from headrace.learners.operating.desk import ModelDesk, differences
from headrace.learners.operating.replay import replay_version
from headrace.learners.serving.operator_endpoints import OperatorEndpoints
from headrace.schemas.errors import ModelError, RequestError, UnknownNameError
from headrace.schemas.signatures import derived_key
from tests.support.operated_scene import ARM, OperatedScene
from tests.support.train_process import KEY
from tests.support.train_scene import running

TOKEN = "a token of operators, thirty-two long"


@pytest.fixture(scope="module")
def scene(kafka_bootstrap: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> OperatedScene:
    """Four versions, of which the second is pinned, and the beginning of another major number."""
    scene = OperatedScene(kafka_bootstrap, redis_url, "operated", tmp_path_factory.mktemp("operated"))
    scene.store = ModelStore(scene.store.directory, KEY, keep=2)
    scene.feed(3)
    with running(scene.process(0)):
        scene.await_serving("1.3")
        scene.await_outcome(scene.order("reset", "1.1"))
        scene.await_serving("2.2")
        desk = scene.desk
        deed = desk.await_outcome(desk.order("rollback", ARM, None, "ada", "bad labels"), 60)
        assert deed.outcome is not None
        assert deed.outcome.version == "2.1"
        scene.await_serving("2.1")
    return scene


def test_the_list_says_what_serves_and_what_is_kept(scene: OperatedScene) -> None:
    listed = {one.published.version: one for one in scene.desk.versions(ARM)}
    assert [*listed] == ["1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "2.2"]
    assert [version for version, one in listed.items() if one.serves] == ["2.1"]
    assert listed["2.1"].pinned
    assert [one.published.version for one in scene.desk.kept(ARM)] == [
        version for version in listed if version != "1.0"
    ]
    with pytest.raises(UnknownNameError, match="learner not found: 'tre'"):
        scene.desk.versions("tre")
    with pytest.raises(UnknownNameError, match=r"version of learner 'tree'.*9\.9"):
        scene.desk.find(ARM, "9.9")


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3", "2.0", "2.2"])
def test_a_version_that_was_thinned_or_began_from_another_is_made_again(
    scene: OperatedScene, version: str
) -> None:
    made = replay_version(scene.bootstrap, scene.plan, scene.project, ARM, version)
    assert made.is_same
    assert made.examples == scene.desk.find(ARM, version).published.examples


def test_a_version_of_another_definition_is_not_replayed(scene: OperatedScene) -> None:
    learners = tuple(one.model_copy(update={"definition": "other"}) for one in scene.plan.learners)
    plan = scene.plan.model_copy(update={"learners": learners})
    with pytest.raises(ModelError, match="is of another definition than the plan in force"):
        replay_version(scene.bootstrap, plan, scene.project, ARM, "1.1")


def test_who_and_why_are_needed_and_what_has_no_effect_is_refused_before_it_is_logged(
    scene: OperatedScene,
) -> None:
    count = len(scene.deeds())
    with pytest.raises(RequestError, match="why"):
        scene.desk.order("pin", ARM, "2.1", "ada", "  ")
    with pytest.raises(ModelError, match=r"no artifact of tree@1\.0 is kept: it was thinned"):
        scene.desk.order("pin", ARM, "1.0", "ada", "to see")
    with pytest.raises(RequestError, match="reset from a version"):
        scene.desk.order("reset", ARM, None, "ada", "to see", skip=True)
    assert len(scene.deeds()) == count


def test_two_versions_differ_in_what_they_have_learned(scene: OperatedScene) -> None:
    one, other = (scene.desk.find(ARM, version).published for version in ("1.2", "1.3"))
    found = {name: values for name, *values in differences(one, other)}
    assert found["examples"] == [2, 3]
    assert "definition" not in found


def test_a_card_tells_of_features_metrics_and_operators(scene: OperatedScene) -> None:
    card = card_of(scene.plan, scene.desk.find(ARM, None), scene.desk.deeds(ARM))
    text, page = to_markdown(card), to_html(card)
    titles = (
        "# tree@2.1",
        "## Definition",
        "## Data",
        "## Features",
        "## Metrics",
        "## Lineage",
        "## Limits",
    )
    assert all(title in text for title in titles)
    assert "| delays:mean |" in text
    assert "rollback 2.1 | ada: bad labels (2.1 serves)" in text
    assert "<h1>tree@2.1</h1>" in page


def test_a_card_is_no_way_into_a_page(scene: OperatedScene) -> None:
    deed = next(one for one in scene.desk.deeds(ARM) if one.operation.kind == "rollback")
    evil = replace(deed, operation=replace(deed.operation, why="<script>alert(1)</script> | x"))
    card = card_of(scene.plan, scene.desk.find(ARM, None), [evil])
    assert "<script>" not in to_html(card)
    assert "<script>" not in to_markdown(card)
    assert "\\| x" in to_markdown(card)


def client_of(scene: OperatedScene, *tokens: str) -> TestClient:
    desk = ModelDesk(scene.bootstrap, scene.plan, scene.store.key)
    return TestClient(Starlette(routes=OperatorEndpoints(desk, scene.plan, tokens).routes()))


def test_over_http_an_operators_token_is_needed(scene: OperatedScene) -> None:
    assert client_of(scene).get("/v1/models").status_code == 403
    client = client_of(scene, TOKEN)
    for header in ({}, {"authorization": "Bearer another"}):
        answer = client.get(f"/v1/models/{ARM}", headers=header)
        assert (answer.status_code, "operate_tokens" in answer.json()["message"]) == (401, True)


def test_over_http_models_are_seen_and_steered(scene: OperatedScene) -> None:
    client = client_of(scene, TOKEN)
    client.headers["authorization"] = f"Bearer {TOKEN}"
    listed = client.get("/v1/models").json()["learners"][ARM]
    assert [one["version"] for one in listed if one["serves"]] == ["2.1"]
    shown = client.get(f"/v1/models/{ARM}", params={"version": "1.3"}).json()
    assert (shown["examples"], shown["operations"][0]["who"]) == (3, "ada")
    assert client.get(f"/v1/models/{ARM}", params={"version": "9.9"}).status_code == 404
    query = {"one": "1.2", "other": "1.3"}
    assert client.get(f"/v1/models/{ARM}/diff", params=query).json()["differences"]
    assert client.get(f"/v1/models/{ARM}/card").json()["card"].startswith("# tree@2.1")
    body = {"kind": "pin", "version": "1.0", "who": "ada", "why": "to see"}
    refused = client.post(f"/v1/models/{ARM}/operations", content=json.dumps(body))
    assert (refused.status_code, "was thinned" in refused.json()["message"]) == (409, True)
    body |= {"version": "2.1", "wait_s": 0}
    logged = client.post(f"/v1/models/{ARM}/operations", content=json.dumps(body))
    assert logged.json()["state"] == "logged"  # no trainer runs
    without = client.post(f"/v1/models/{ARM}/operations", content=json.dumps({"kind": "pin", "who": "ada"}))
    assert without.status_code == 422


def test_a_learner_without_a_version_says_so(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path
) -> None:
    scene = OperatedScene(kafka_bootstrap, redis_url, project, tmp_path)
    with pytest.raises(ModelError, match="has no version yet: run `headrace train`"):
        scene.desk.versions(ARM)


def test_the_commands_say_and_do_the_same(
    scene: OperatedScene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    PlanStore(scene.redis, "operated", derived_key(b"k" * 32, "plans")).save(scene.plan)
    given = {"KAFKA": scene.bootstrap, "REDIS": scene.redis_url, "PROJECT": "operated", "MODEL_KEY": "k" * 32}
    for name, value in (given | {"DATA_DIR": str(tmp_path / "data")}).items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)

    def told(*words: str, ends: int = 0) -> str:
        done = CliRunner().invoke(app, ["models", *words, "--project", str(scene.folder)])
        assert done.exit_code == ends, done.output
        return done.output

    assert "tree@2.1  pinned" in told("list", ARM)
    assert "tree@1.0  thinned" in told("list", ARM, "--all")
    assert json.loads(told("show", "tree@1.3", "--json"))["examples"] == 3
    assert "examples" in told("diff", "tree@1.2", "tree@1.3")
    assert "the same model of 1 examples" in told("replay", "tree@2.0")
    assert told("card", ARM).startswith("# tree@2.1")
    told("card", ARM, "--format", "html", "--out", str(tmp_path / "card.html"))
    assert "<h1>tree@2.1</h1>" in (tmp_path / "card.html").read_text()
    assert "no trainer has taken it up yet" in told("unpin", ARM, "--why", "done", "--wait", "0")
    told("unpin", ARM, ends=2)  # without a reason
    missing = CliRunner().invoke(app, ["models", "pin", "tre", "--why", "x", "--project", str(scene.folder)])
    assert isinstance(missing.exception, UnknownNameError)
