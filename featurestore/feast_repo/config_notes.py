"""What ``feature_store.yaml`` says and Headrace does not do, each with what Feast would do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.repo_config import RepoConfig

from headrace.featurestore.feast_repo.environment import config_file, config_name, environment_notes
from headrace.featurestore.feast_repo.online_store import feast_reads_elsewhere
from headrace.schemas.name_hint import name_hint

_MATERIALIZE = "Feast would materialise with it; `headrace materialize` runs where it is called"
# A key, the values that change nothing, and what Feast does by another. A dot leads into a table.
_TOLD: dict[str, tuple[tuple[Any, ...], str]] = {
    "project_description": ((None, ""), "Feast would show it in its catalogue"),
    "auth.type": (("no_auth",), "Feast's servers ask for it; Headrace has accounts of Kafka and Redis"),
    "batch_engine": (("local",), _MATERIALIZE),
    "batch_engine.type": (("local",), _MATERIALIZE),
    "feature_server": ((None,), "`feast serve` reads it; `headrace serve` has settings of its own"),
    "flags": ((None,), "Feast has no use for it, either"),
    "coerce_tz_aware": (
        (True,),
        "Feast would leave times of an entity frame without a zone; here they have one",
    ),
    "materialization.pull_latest_features": (
        (False,),
        "Feast would ask the table for latest rows alone; `headrace materialize` always writes those",
    ),
    "materialization.online_write_batch_size": (
        (None,),
        "Feast would write so many rows at once; Headrace has a bound of its own",
    ),
    "embedding_model": ((None,), "Feast's server would embed queries by it"),
    "data_quality_monitoring": ((None,), "`feast apply` would compute baselines; see `headrace.expect` tags"),
    "online_store.skip_dedup": (
        (False,),
        "Feast would write without reading times; rows of Headrace are ordered by their place in the log",
    ),
    "online_store.client": (("redis",), "only Feast's client reads with it"),
}
_PASSED_ON = ("openlineage", "mlflow", "repo_path")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def config_notes(config: RepoConfig, redis_url: str) -> list[str]:
    """Return a line for each key and variable that is not obeyed, and where Feast would read rows elsewhere.

    Parameters
    ----------
    config
        Feast's `RepoConfig`, as read.
    redis_url
        Where Headrace writes rows.
    """
    elsewhere = feast_reads_elsewhere(config, redis_url)
    path = Path(config.repo_path)
    text = config_file(path).read_text()
    written = yaml.safe_load(os.path.expandvars(text))
    lines = [
        *([elsewhere] if elsewhere else []),
        *_not_obeyed(written),
        *_unknown(written, config),
        *_unset(text),
    ]
    return [*(f"{config_name(path)}: {line}" for line in lines), *environment_notes(os.environ)]


def _not_obeyed(written: Mapping[str, Any]) -> Iterator[str]:
    for key, (without_effect, effect) in _TOLD.items():
        value: Any = written
        for part in key.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        is_table = isinstance(value, Mapping) and any(other.startswith(f"{key}.") for other in _TOLD)
        if value is not _MISSING and value not in without_effect and not is_table:
            shown = "" if isinstance(value, Mapping) else f" = {value}"
            yield f"{key}{shown} is not obeyed. {effect}"


def _unknown(written: Mapping[str, Any], config: RepoConfig) -> Iterator[str]:
    """Keys that Feast passes over: a word that is written wrongly has no effect at all."""
    known = {name for key, field in RepoConfig.model_fields.items() for name in (field.alias or key, key)}
    for key in written:
        if key not in known and key not in _PASSED_ON:
            yield f"'{key}' means nothing to Feast, nor to Headrace; {name_hint(str(key), known)}"
    yield from _unknown_of_registry(written.get("registry"), config)


def _unknown_of_registry(written: Any, config: RepoConfig) -> Iterator[str]:
    """The same for its table, the one that Feast does not refuse for them. A registry of one's own has
    keys of its own."""
    if not isinstance(written, Mapping) or "." in str(written.get("registry_type", "")):
        return
    known = type(config.registry).model_fields
    for key in written.keys() - known.keys():
        hint = name_hint(str(key), known)
        yield f"'registry.{key}' means nothing to Feast, nor to Headrace; {hint}"


def _unset(text: str) -> Iterator[str]:
    """Variables that stay in the text as they stand, as Feast leaves them."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    names = [name for line in lines for match in _VARIABLE.finditer(line) for name in match.groups() if name]
    for name in dict.fromkeys(names):
        if name not in os.environ:
            yield f"the environment has no variable {name}: the text keeps its name, as it does for Feast"


_MISSING = object()
