"""Functions of on-demand views: imported from the repository's file, and only if they are the plan's."""

from __future__ import annotations

import hashlib
import inspect
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headrace.featurestore.on_demand.functions import OnDemandFunctions, function_digest, has_function
from headrace.schemas.errors import DefinitionError, HeadraceError
from headrace.schemas.feature_specs import FieldSpec, OnDemandViewSpec

# A view as far as functions are concerned: a name and a udf.
VIEWS = """
    from types import SimpleNamespace
    from neighbour import FACTOR

    def doubled(df):
        return FACTOR * df

    ratios = SimpleNamespace(name="ratios", udf=doubled)
"""
VIEWS_TEXT = textwrap.dedent(VIEWS)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("FACTOR = 2\n")
    (tmp_path / "views.py").write_text(VIEWS_TEXT)
    return tmp_path


def spec_of(repo: Path, definition: str | None = None) -> OnDemandViewSpec:
    """What a plan has of the view, as it stands in the repository now."""
    loaded: dict[str, Any] = {}
    before = list(sys.path)
    sys.path.insert(0, str(repo))
    try:
        exec(compile((repo / "views.py").read_text(), str(repo / "views.py"), "exec"), loaded)
    finally:
        sys.path[:] = before
    return OnDemandViewSpec(
        name="ratios",
        mode="pandas",
        inputs=(),
        request=(FieldSpec(name="x", dtype="Int64"),),
        features=(FieldSpec(name="y", dtype="Int64"),),
        file="views.py",
        definition=definition or function_digest(loaded["ratios"]),
    )


def test_the_function_is_imported_with_its_neighbours(repo: Path) -> None:
    assert OnDemandFunctions(repo).function(spec_of(repo))(21) == 42


def test_the_import_leaves_the_module_path_and_other_modules_alone(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = list(sys.path)
    monkeypatch.setitem(sys.modules, "views", sys)
    OnDemandFunctions(str(repo)).function(spec_of(repo))
    assert sys.path == path
    assert sys.modules["views"] is sys


def test_a_file_is_imported_once_by_whatever_threads(repo: Path) -> None:
    with (repo / "views.py").open("a") as file:
        file.write("import imports\nimports.COUNT.append(1)\n")
    (repo / "imports.py").write_text("COUNT = []\n")
    spec = spec_of(repo)
    sys.modules["imports"].COUNT.clear()
    functions = OnDemandFunctions(repo)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(functions.function, [spec] * 32))
    assert len(set(map(id, loaded))) == 1
    assert sys.modules.pop("imports").COUNT == [1]


def test_another_text_is_another_function(repo: Path) -> None:
    spec = spec_of(repo)
    (repo / "views.py").write_text(VIEWS_TEXT.replace("FACTOR * df", "df * FACTOR"))
    assert spec_of(repo).definition != spec.definition
    with pytest.raises(DefinitionError, match=r"views.py: .*'ratios'.*another one.*run `headrace apply`"):
        OnDemandFunctions(repo).function(spec)


def test_what_is_around_the_function_is_no_part_of_its_text(repo: Path) -> None:
    spec = spec_of(repo)
    (repo / "views.py").write_text("# a comment\n" + VIEWS_TEXT + "\nmore = 1\n")
    assert spec_of(repo).definition == spec.definition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module\n" + VIEWS_TEXT, "cannot be imported \\(ModuleNotFoundError"),
        ("raise SystemExit('stop')\n" + VIEWS_TEXT, "cannot be imported \\(SystemExit: stop"),
        ("def broken(:\n", "cannot be read \\(SyntaxError"),
        ("\0", "cannot be read \\((SyntaxError|ValueError)"),
        ("(" * 100_000, "cannot be read \\("),
        (VIEWS_TEXT + "ratios = None\n", "in the plan, but not in this file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(repo: Path, text: str, said: str) -> None:
    spec, modules = spec_of(repo), set(sys.modules)
    (repo / "views.py").write_text(text)
    with pytest.raises(DefinitionError, match=f"views.py: on demand feature view 'ratios': .*{said}"):
        OnDemandFunctions(repo).function(spec)
    left = [name for name in set(sys.modules) - modules if name.startswith("_headrace_")]
    assert len(left) == ("cannot be" not in said)


def test_a_file_that_was_mended_is_imported_again(repo: Path) -> None:
    spec, functions = spec_of(repo), OnDemandFunctions(repo)
    good = (repo / "views.py").read_text()
    (repo / "views.py").write_text("raise ValueError\n" + good)
    with pytest.raises(DefinitionError):
        functions.function(spec)
    (repo / "views.py").write_text(good)
    assert functions.function(spec)(1) == 2


def test_without_a_repository_the_folder_is_asked_for(repo: Path) -> None:
    with pytest.raises(HeadraceError, match=r"function in views.py of the Feast repository.*`repo_dir`"):
        OnDemandFunctions(None).function(spec_of(repo))


RUNS = "import runs\nruns.COUNT.append(1)\n"


def test_a_file_outside_the_repository_is_not_run(
    repo: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, outside = spec_of(repo), tmp_path_factory.mktemp("elsewhere") / "views.py"
    outside.write_text(RUNS + VIEWS_TEXT)
    (repo / "link.py").symlink_to(outside)
    (repo / "views.txt").write_text(RUNS + VIEWS_TEXT)
    monkeypatch.setitem(sys.modules, "runs", runs := ModuleType("runs"))
    vars(runs)["COUNT"] = []
    climbing = f"../{outside.parent.name}/views.py"
    for file in (str(outside), climbing, f"x/../{climbing}", "link.py", "views.txt", ".", "", "no/such.py"):
        with pytest.raises(DefinitionError, match=r"no Python file in the repository|cannot be read"):
            OnDemandFunctions(repo).function(spec.model_copy(update={"file": file}))
    assert vars(runs)["COUNT"] == []


def test_a_file_without_the_function_of_the_plan_is_not_run(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(repo)
    (repo / "script.py").write_text(RUNS + VIEWS_TEXT.replace("FACTOR * df", "df"))
    monkeypatch.setitem(sys.modules, "runs", runs := ModuleType("runs"))
    vars(runs)["COUNT"] = []
    with pytest.raises(DefinitionError, match="its function is another one than that of the plan"):
        OnDemandFunctions(repo).function(spec.model_copy(update={"file": "script.py"}))
    assert vars(runs)["COUNT"] == []


FUNCTIONS = [
    "def f(x):\n    return x\n",
    "@staticmethod\ndef f(x,\n      y=1):\n    # a comment\n    return x\n    # behind\n\n# apart\n",
    "g = 1; f = lambda x: (\n    x)\n",
    "class C:\n    @classmethod\n    def f(cls, df):\n        def inner():\n            return df\n\n",
    "f = [lambda df: df + 1,\n     lambda df: df - 1][0]\n",
    "if True:\n    def f(df):\n        return 1\n\n\n\n",
]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_the_text_is_cut_as_inspect_cuts_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cut.py"
    file.write_text(text)
    loaded: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), loaded)
    function = inspect.unwrap(getattr(loaded.get("f", loaded.get("C")), "f", loaded.get("f")))
    while not hasattr(function, "__code__"):
        function = getattr(function, "__func__", None) or function.fget
    digest = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    assert has_function(text, digest)
    assert not has_function(text + "\n", "0" * 64)
