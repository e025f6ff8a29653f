"""The wheel as a user gets it: in an empty environment outside the repository, with the core alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UV = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
APPLICATION = """
import deploy, featurestore, learners, schemas, streams
from datetime import timedelta
from headrace import AsyncFeatureClient, AsyncEventProducer, EventFormat, EventProducer, FeatureClient
from headrace import Learner, Outcome, Router, ThompsonSampling

Learner("base", model=object, service=None, target="bought")
Router("main", arms=["base"], champion="base", unit="user", entities=["user"], wait=timedelta(hours=1))
EventFormat("clicks", '{"type": "record", "name": "C", "fields": []}')
FeatureClient.connect, EventProducer.send
for mine in (schemas, streams, learners, featurestore, deploy):
    print(mine.MINE)
"""
PROGRAM = """
from headrace import EventFormat, EventProducer, FeatureClient


def send(producer: EventProducer, user: str) -> int:
    return producer.send_batch([{"user": user}])


def read(client: FeatureClient, user: str) -> list[object]:
    answer = client.get_online_features(["clicks:count_1h"], [{"user": user}])
    return [*answer.columns["clicks__count_1h"]]


CLICKS = EventFormat("clicks", "{}", key_field="user")
"""
WRONG = """
EventFormat(topic=5, schema="{}")
read("redis://127.0.0.1", "ada")
"""
HEAVY = {"feast", "faust", "river", "pandas", "pyarrow", "scipy", "starlette"}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment = {k: v for k, v in environment.items() if not k.startswith("HEADRACE_")}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("headrace-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it requires, at the locked versions."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert UV is not None, "uv is missing; it is in the extra `dev`"
    made = run(UV, "venv", "--quiet", "--python", sys.executable, "env", cwd=folder)
    assert made.returncode == 0, made.stderr
    installed = run(
        UV, "pip", "install", "--quiet", "--python", "env", "--constraint", ROOT / "requirements.lock", wheel,
        cwd=folder,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    return folder / "env" / "bin"


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"headrace"}
    rooms = {"/".join(name.split("/")[:2]) for name in names if name.endswith("__init__.py")}
    packages = ("schemas", "streams", "featurestore", "learners", "deploy", "testing")
    assert rooms == {"headrace/__init__.py", *(f"headrace/{package}" for package in packages)}
    assert not [name for name in names if "__pycache__" in name]


def test_the_core_is_light(environment: Path) -> None:
    program = "import importlib.metadata as m; print(*m.packages_distributions())"
    listed = run(environment / "python", "-c", program, cwd=environment)
    assert HEAVY.isdisjoint(listed.stdout.split())


def test_help_and_version_work_with_the_core(environment: Path) -> None:
    told = run(environment / "headrace", "--help", cwd=environment)
    assert (told.returncode, told.stderr) == (0, "")
    assert "worker" in told.stdout
    assert run(environment / "headrace", "version", cwd=environment).stdout.strip() == "0.1.0"


def test_the_sdk_imports_with_the_core(environment: Path) -> None:
    program = "from headrace import AsyncFeatureClient, FeatureClient; print(FeatureClient.__name__)"
    told = run(environment / "python", "-c", program, cwd=environment)
    assert (told.stdout.strip(), told.stderr) == ("FeatureClient", "")


def test_the_producers_import_with_the_core(environment: Path) -> None:
    program = "from headrace import AsyncEventProducer, EventProducer; print(EventProducer.__name__)"
    told = run(environment / "python", "-c", program, cwd=environment)
    assert (told.stdout.strip(), told.stderr) == ("EventProducer", "")


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A folder of somebody else's, whose modules are called as our folders are."""
    for name in ("schemas", "streams", "learners"):
        (tmp_path / f"{name}.py").write_text(f"MINE = '{name}'\n")
    for name in ("featurestore", "deploy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = '{name}'\n")
    return tmp_path


def test_only_headrace_is_installed(environment: Path) -> None:
    program = "import importlib.metadata as m; print(*{f.parts[0] for f in m.files('headrace')})"
    listed = run(environment / "python", "-c", program, cwd=environment)
    tops = set(listed.stdout.split()) - {".."}  # the command
    assert {top for top in tops if not top.endswith(".dist-info")} == {"headrace"}


def test_an_application_may_have_modules_called_as_our_folders(environment: Path, application: Path) -> None:
    (application / "main.py").write_text(APPLICATION)
    told = run(environment / "python", "main.py", cwd=application)
    assert (told.stdout.split(), told.stderr) == (
        ["schemas", "streams", "learners", "featurestore", "deploy"],
        "",
    )


def test_the_types_of_a_users_program_are_checked(environment: Path, application: Path) -> None:
    (application / "program.py").write_text(PROGRAM)
    (application / "wrong.py").write_text(PROGRAM + WRONG)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", environment / "python"]
    assert run(*mypy, "program.py", cwd=application).stdout.startswith("Success")
    told = run(*mypy, "wrong.py", cwd=application)
    assert told.returncode == 1
    assert told.stdout.count("error:") == 2, told.stdout


def test_importing_headrace_imports_nothing_else(environment: Path) -> None:
    program = (
        "import sys; before = set(sys.modules); import headrace; "
        "print({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    assert run(environment / "python", "-c", program, cwd=environment).stdout.strip() == "{'headrace'}"


def test_every_public_name_is_there_and_no_other(environment: Path) -> None:
    program = (
        "import headrace\n"
        "for name in headrace.__all__: assert getattr(headrace, name).__name__ == name\n"
        "assert set(headrace.__all__) <= set(dir(headrace))\n"
        "try: headrace.Client\n"
        "except AttributeError as error: print(error)"
    )
    told = run(environment / "python", "-c", program, cwd=environment)
    assert (told.stdout.strip(), told.stderr) == ("module 'headrace' has no attribute 'Client'", "")


def test_a_missing_extra_is_named(environment: Path) -> None:
    told = run(environment / "headrace", "up", ".", cwd=environment)
    assert told.returncode == 2
    assert told.stderr.startswith("headrace: ")
    assert "pip install 'headrace[" in told.stderr
    assert "Traceback" not in told.stderr
