"""Reads ``feature_store.yaml`` and refuses what Headrace does not write."""

from __future__ import annotations

from pathlib import Path

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.errors import FeastModuleImportError
from feast.repo_config import RepoConfig, load_repo_config
from feast.repo_operations import is_valid_name

from headrace.featurestore.feast_repo.as_feast import as_feast_runs
from headrace.featurestore.feast_repo.environment import CONFIG_FILE, config_file, config_name
from headrace.featurestore.feast_repo.error_text import error_text
from headrace.featurestore.feast_repo.online_store import Fault, online_faults
from headrace.schemas.errors import DefinitionError, raise_all
from headrace.schemas.names import MOST_CHARACTERS, part_fault


def read_config(path: Path) -> RepoConfig:
    """Read the configuration of the repository at `path`.

    Raises
    ------
    DefinitionError
        When there is none, Feast cannot read it, or something in it cannot be obeyed.
    """
    file, name = config_file(path), config_name(path)
    try:
        with as_feast_runs(path):  # stores and provider may be classes of the repository
            config = load_repo_config(path, file)
    except FileNotFoundError as error:
        raise DefinitionError(
            str(file), "Feast repository", "there is no such file", f"Write {CONFIG_FILE} or name its folder"
        ) from error
    except Exception as error:
        raise DefinitionError(
            name,
            "Feast repository",
            f"it cannot be read ({error_text(error)})",
            _remedy(error),
        ) from error
    with as_feast_runs(path):
        _check_config(config, name, file.read_text())
    return config


def _remedy(error: Exception) -> str:
    if isinstance(error, FeastModuleImportError):
        return (
            "Install what Feast needs for it, such as feast[snowflake], or put the module into the repository"
        )
    return "See https://docs.feast.dev/reference/feature-store-yaml"


def _check_config(config: RepoConfig, file: str, text: str) -> None:
    """Refuse what cannot be obeyed, all of it."""
    faults = [*_name_faults(config), *online_faults(config), *_registry_faults(config)]
    name = f"project '{config.project}'"
    raise_all(
        [DefinitionError(file, name, problem, remedy, _line_of(key, text)) for key, problem, remedy in faults]
    )


def _line_of(key: str, text: str) -> int | None:
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if line.strip().startswith(f"{key}:")), None)


def _name_faults(config: RepoConfig) -> list[Fault]:
    if is_valid_name(config.project) and part_fault(config.project) is None:
        return []
    return [
        (
            "project",
            "the name is not valid",
            f"Use ASCII letters, digits, hyphens and underscores, {MOST_CHARACTERS} at most",
        )
    ]


def _registry_faults(config: RepoConfig) -> list[Fault]:
    try:
        registry = config.registry
    except Exception as error:  # of a registry that Feast does not know, or has no libraries for
        return [
            (
                "registry",
                f"its registry cannot be used ({type(error).__name__}: {error_text(error)})",
                "Install what Feast needs for it, such as feast[grpcio] for the type remote, or name another",
            )
        ]
    if registry.enable_online_feature_view_versioning:
        return [
            (
                "enable_online_feature_view_versioning",
                "enable_online_feature_view_versioning is true, so that Feast reads the rows of a changed "
                "view under the name of its version, which Headrace does not write",
                "Set it to false; a feature that changes its meaning gets a name of its own",
            )
        ]
    return []
