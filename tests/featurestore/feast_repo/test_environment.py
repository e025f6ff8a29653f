"""Variables of the environment are read as Feast reads them, or told; a new one of Feast fails a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
import feast
from feast import constants

from headrace.deploy.settings import load_settings
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.config_notes import config_notes
from headrace.featurestore.feast_repo.environment import FEASTS_PROGRAMS, OBEYED, PASSED_ON, TOLD
from headrace.schemas.errors import DefinitionError

_READ = re.compile(
    r"(?:environ(?:\.get|\.setdefault)?[\[(]|getenv\(|envvar=|_env\()\s*(\"?)([A-Z][A-Z0-9_]+)"
)


def test_every_variable_that_the_installed_feast_reads_is_in_the_table() -> None:
    root = Path(feast.__file__).parent
    names = set()
    for file in root.rglob("*.py"):
        if "templates" not in file.parts:
            for quote, name in _READ.findall(file.read_text()):
                names.add(name if quote else getattr(constants, name, name))
    assert len(names) > 50
    listed = (*OBEYED, *TOLD, *PASSED_ON, *FEASTS_PROGRAMS)
    assert [name for name in sorted(names) if not name.startswith(listed)] == []


def test_the_configuration_may_be_in_another_file(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "production.yaml"
    text = (repo / "feature_store.yaml").read_text()
    other.write_text(re.sub(r"project: \S+", "project: elsewhere", text))
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(other))
    parts = compile_features(repo)
    assert parts.project == load_settings(repo).project_name == "elsewhere"
    assert f"the configuration is read from {other}" in config_notes(parts.repository.config, "redis://h")[-1]
    other.write_text(other.read_text().replace("serialization_version: 3", "serialization_version: 1"))
    with pytest.raises(DefinitionError, match=rf"^{other}:\d+: project 'elsewhere'"):
        compile_features(repo)
    other.unlink()
    with pytest.raises(DefinitionError, match=f"{other}.*there is no such file"):
        compile_features(repo)


@pytest.mark.parametrize("name", TOLD)
def test_what_is_not_obeyed_is_told(repo: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = compile_features(repo).repository.config
    before = config_notes(config, "redis://127.0.0.1:1")
    monkeypatch.setenv(name, "2")
    (told,) = set(config_notes(config, "redis://127.0.0.1:1")) - set(before)
    assert told.startswith(f"{name} is set and not obeyed. ")
