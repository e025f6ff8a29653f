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
    packages = ("schemas", "streams", "featurestore", "learners", "deploy")
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


def test_a_missing_extra_is_named(environment: Path) -> None:
    told = run(environment / "headrace", "up", ".", cwd=environment)
    assert told.returncode == 2
    assert told.stderr.startswith("headrace: ")
    assert "pip install 'headrace[" in told.stderr
    assert "Traceback" not in told.stderr
