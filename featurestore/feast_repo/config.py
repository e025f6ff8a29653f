"""Reads ``feature_store.yaml`` and refuses what Headrace does not write."""

from __future__ import annotations

from pathlib import Path

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.repo_config import RepoConfig, load_repo_config
from feast.repo_operations import is_valid_name

from headrace.schemas.errors import DefinitionError
from headrace.schemas.names import MOST_CHARACTERS, part_fault

CONFIG_FILE = "feature_store.yaml"


def read_config(path: Path) -> RepoConfig:
    """Read the configuration of the repository at `path`.

    Raises
    ------
    DefinitionError
        When there is none, Feast cannot read it, or its online store or keys are not those that Headrace
        writes.
    """
    file = path / CONFIG_FILE
    try:
        config = load_repo_config(path, file)
    except FileNotFoundError as error:
        raise DefinitionError(
            str(file), "Feast repository", "there is no such file", f"Write {CONFIG_FILE} or name its folder"
        ) from error
    except Exception as error:
        raise DefinitionError(
            CONFIG_FILE,
            "Feast repository",
            f"it cannot be read ({error})",
            "See https://docs.feast.dev/reference/feature-store-yaml",
        ) from error
    _check_config(config)
    _check_registry(config)
    return config


def _check_config(config: RepoConfig) -> None:
    online = config.online_config
    kind = online.get("type") if isinstance(online, dict) else online
    deployment = online.get("redis_type", "redis") if isinstance(online, dict) else "redis"
    name = f"project '{config.project}'"
    if not is_valid_name(config.project) or part_fault(config.project) is not None:
        raise DefinitionError(
            CONFIG_FILE,
            name,
            "the name is not valid",
            f"Use ASCII letters, digits, hyphens and underscores, {MOST_CHARACTERS} at most",
        )
    if kind != "redis" or deployment not in ("redis", "redis_cluster", "redis_sentinel"):
        found = f"online store '{kind}'" if kind != "redis" else f"redis_type '{deployment}'"
        raise DefinitionError(
            CONFIG_FILE,
            name,
            f"{found} is not written by Headrace",
            "Set online_store to type redis, redis_type to redis, redis_cluster or redis_sentinel",
        )
    if config.entity_key_serialization_version != 3:
        raise DefinitionError(
            CONFIG_FILE,
            name,
            f"entity_key_serialization_version is {config.entity_key_serialization_version}",
            "Set it to 3",
        )


def _check_registry(config: RepoConfig) -> None:
    name = f"project '{config.project}'"
    try:
        registry = config.registry
    except Exception as error:  # of a registry that Feast does not know, or has no libraries for
        text = " ".join(str(error).split())
        raise DefinitionError(
            CONFIG_FILE,
            name,
            f"its registry cannot be used ({type(error).__name__}: {text})",
            "Install what Feast needs for it, such as feast[grpcio] for the type remote, or name another",
        ) from error
    if registry.enable_online_feature_view_versioning:
        raise DefinitionError(
            CONFIG_FILE,
            name,
            "enable_online_feature_view_versioning is true, so that Feast reads the rows of a changed view "
            "under the name of its version, which Headrace does not write",
            "Set it to false; a feature that changes its meaning gets a name of its own",
        )
