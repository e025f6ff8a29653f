"""`headrace check`: a table of every object, a sum and an exit code, without Kafka and Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.deploy.cli.main import app
from tests.support.repository_config import repository_config

DEFINITIONS = """
from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Int64
from feast.value_type import ValueType

shop = Entity(name="shop", value_type=ValueType.INT64)
sales = FileSource(name="sales", path="data/sales.parquet", timestamp_field="at")
X = [Field(name="x", dtype=Int64)]
daily = FeatureView(name="daily", entities=[shop], schema=X, source=sales)
prices = FeatureService(name="prices", features=[daily])
"""
OFFLINE = """
offline = FeatureView(name="offline", entities=[shop], schema=X, source=sales, online=False)
both = FeatureService(name="both", features=[daily, offline])
"""
TABLE = """\
object                 verdict                 why
Project t              runs with a difference  batch_engine.type = spark.engine is not obeyed. Feast would \
materialise with it; `headrace materialize` runs where it is called
                                               'colour' means nothing to Feast, nor to Headrace; KNOWN
Entity shop            runs
FileSource sales       runs
FeatureView daily      runs
FeatureView offline    cannot                  features.py:12: it has online=False: Feast alone reads it, \
for training. Set online=True
FeatureService both    cannot                  features.py:13: it reads feature view 'offline', which does \
not run: it has online=False: Feast alone reads it, for training. Set online=True
FeatureService prices  runs
7 objects: 4 run, 1 run with a difference, 2 cannot. `headrace apply` leaves out what cannot run; \
the rest runs.
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_REDIS", "redis://127.0.0.1:1/0")
    (tmp_path / "feature_store.yaml").write_text(repository_config("t"))
    (tmp_path / "features.py").write_text(DEFINITIONS)
    return tmp_path


def check(repo: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["check", str(repo), *words], catch_exceptions=False)


def write(repo: Path, file: str, text: str) -> None:
    with (repo / file).open("a") as opened:
        opened.write(text)


def test_everything_runs(repo: Path) -> None:
    checked = check(repo)
    assert checked.output.splitlines()[-1] == "5 objects: 5 run, 0 run with a difference, 0 cannot."
    assert checked.exit_code == 0


def test_the_table_has_each_object_with_its_reasons(repo: Path) -> None:
    write(repo, "features.py", OFFLINE)
    write(repo, "feature_store.yaml", "batch_engine: {type: spark.engine}\ncolour: blue\n")
    checked = check(repo)
    known = checked.output.partition("nor to Headrace; ")[2].partition("\n")[0]
    assert checked.output == TABLE.replace("KNOWN", known)
    assert checked.exit_code == 1


def test_as_json(repo: Path) -> None:
    write(repo, "features.py", OFFLINE)
    checked = check(repo, "--json")
    told = json.loads(checked.output)
    assert told["counts"] == {"runs": 5, "runs with a difference": 0, "cannot": 2}
    assert told["objects"][4] == {
        "kind": "FeatureView",
        "name": "offline",
        "file": "features.py",
        "outcome": "cannot",
        "why": ["it has online=False: Feast alone reads it, for training. Set online=True"],
        "refused": False,
        "line": 12,
    }
    assert (told["objects"][3]["name"], told["objects"][3]["line"]) == ("daily", 9)
    assert checked.exit_code == 1


def test_what_apply_would_refuse_is_in_the_table_with_the_rest(repo: Path) -> None:
    """Of features, of learners, and of Feast itself."""
    write(repo, "features.py", 'unknown = FeatureService(name="unknown", features=["daily:y"])\n')
    write(
        repo,
        "learners.py",
        "from river.linear_model import LogisticRegression\nfrom headrace import Learner\n"
        'buys = Learner(name="buys", model=LogisticRegression, service="price", target="bought")\n',
    )
    checked = check(repo)
    lines = checked.output.splitlines()
    assert [line.split()[:2] for line in lines if "refused: " in line] == [
        ["Project", "t"],  # Feast would not take the service, either
        ["FeatureService", "unknown"],
        ["Learner", "buys"],
    ]
    assert "refused: features.py:11: view 'daily' has no feature 'y'" in checked.output
    assert "learners.py:3: feature service 'price' does not exist" in checked.output
    assert "FeatureView daily       runs" in checked.output
    assert lines[-1].endswith("`headrace apply` refuses the project until what is refused is corrected.")
    assert checked.exit_code == 2


def test_what_feast_alone_refuses_is_told_with_the_place_that_it_speaks_of(repo: Path) -> None:
    write(
        repo,
        "features.py",
        "from feast.on_demand_feature_view import on_demand_feature_view\n"
        '@on_demand_feature_view(sources=[daily], schema=X, mode="python")\n'
        "def broken(inputs):\n    raise RuntimeError('boom')\n",
    )
    checked = check(repo)
    assert "refused: features.py:14: Feast does not accept it (RuntimeError: boom)" in checked.output
    assert checked.exit_code == 2


def test_a_registry_that_does_not_answer_refuses_the_project_as_apply_does(repo: Path) -> None:
    config = repo / "feature_store.yaml"
    sql = "registry: {registry_type: sql, path: 'sqlite:////nowhere/registry.db'}"
    config.write_text(config.read_text().replace("registry: data/registry.db", sql))
    checked = check(repo)
    assert (
        "refused: feature_store.yaml: Feast's registry of project 't' cannot be read or written ("
        in checked.output
    )
    assert "FeatureView daily      runs" in checked.output
    assert checked.exit_code == 2


def test_what_cannot_be_imported_is_told_beside_the_objects_of_other_files(repo: Path) -> None:
    write(repo, "broken.py", "import no_such_library\n")
    checked = check(repo)
    assert "refused: broken.py:1: ModuleNotFoundError: No module named 'no_such_library'" in checked.output
    assert "FeatureView daily      runs" in checked.output
    assert checked.exit_code == 2
