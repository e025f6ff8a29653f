"""Settings: the environment (`HEADRACE_...`), then `headrace.toml` in the project directory, then defaults.

This is the only module that reads the environment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from headrace.deploy.key_file import KEY_BYTES, make_key, read_key
from headrace.deploy.local.environment import environment_without_counters
from headrace.deploy.settings_file import FILE, SettingsFile
from headrace.learners.feature_server.config import FeatureServerConfig
from headrace.learners.serving.config import HttpConfig, HttpLimits, ServeConfig
from headrace.learners.training.config import TrainConfig
from headrace.schemas.errors import SettingsError
from headrace.schemas.name_hint import name_hint
from headrace.schemas.signatures import derived_key
from headrace.streams.connections.redis_url import RedisUrl
from headrace.streams.connections.url_accounts import registry_parts, without_account
from headrace.streams.join.config import JoinConfig
from headrace.streams.runtime.config import FaustConfig
from headrace.streams.worker.config import WorkerConfig

if TYPE_CHECKING:
    from headrace.streams.connections.kafka import Kafka

_PREFIX = "HEADRACE_"
SECRETS = (
    "model_key",
    "plan_key",
    "schema_registry_token",
    "feature_tokens",
    "push_tokens",
    "operate_tokens",
)
_WITH_ACCOUNT = ("kafka", "redis", "schema_registry")
_FEAST_FILE = "FEAST_FS_YAML_FILE_PATH"  # as Feast reads it
_PROJECT_LINE = re.compile(r"^project:\s*[\"']?([\w-]+)", re.MULTILINE)


class Settings(BaseSettings):
    """The settings of a project's processes. Use `load_settings`, which explains its errors."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, protected_namespaces=()
    )

    project_dir: Path = Field(Path("."), description="the Feast repository with its learners.py")
    project: str | None = Field(None, description="its name; as in `feature_store.yaml` when not set")
    kafka: str = Field("127.0.0.1:9092", description="bootstrap servers, host:port, comma separated")
    kafka_config: Path | None = Field(
        None, description="file of librdkafka properties, for TLS and SASL: `name=value` lines"
    )
    redis: str = Field("redis://127.0.0.1:6379/0", repr=False, description="URL of the online store")
    schema_registry: str | None = Field(
        None,
        repr=False,
        description="URL of a registry of Avro schemas, with Confluent's interface; none when not set",
    )
    schema_registry_token: SecretStr | None = Field(None, description="bearer token for that registry")
    schema_registry_ca: Path | None = Field(
        None, description="PEM file of the authorities that sign its certificate; the system's when not set"
    )
    data_dir: Path | None = Field(
        None, description="feature log, models, examples; `.headrace` in the project when not set"
    )
    feast_registry: Path | None = Field(
        None,
        description="file of Feast's registry, in place of one in a file that `feature_store.yaml` names",
    )
    model_key: SecretStr | None = Field(
        None, description="key that authenticates model artifacts, 32 characters or more"
    )
    plan_key: SecretStr | None = Field(
        None,
        description="key that authenticates plans, 32 characters or more; else made of the model key",
    )
    checkpoint_ms: int = Field(
        WorkerConfig.checkpoint_ms, ge=10, description="longest time between two checkpoints of a worker"
    )
    fetch_wait_ms: int = Field(
        FaustConfig.fetch_wait_ms,
        ge=1,
        description="longest time a broker holds back a fetch for which it has nothing",
    )
    idle_ms: int = Field(
        WorkerConfig.idle_ms,
        ge=100,
        description="in a partition without records for so long, event time goes on by the machine's clock",
    )
    join_parked: int = Field(
        JoinConfig.parked,
        ge=1,
        description="the most outcomes of a partition that wait for a prediction; more are turned away",
    )
    join_per_key: int = Field(
        JoinConfig.per_key,
        ge=1,
        description="most predictions, and most outcomes, of one key that a join holds; more are turned away",
    )
    orphan_letters: bool = Field(
        JoinConfig.orphan_letters,
        description="whether outcomes out of an event topic that match no prediction are dead letters",
    )
    publish_every_s: float = Field(
        TrainConfig.publish_every_s,
        ge=0,
        description="longest time between two published versions; 0: by time marks alone",
    )
    session_timeout_ms: int = Field(
        FaustConfig.session_timeout_ms,
        ge=1000,
        description="after this long without a sign of life its partitions go to another",
    )
    feature_log: bool = Field(True, description="whether the worker writes the Parquet feature log")
    event_partitions: int = Field(4, ge=1, description="partitions of event topics that `apply` creates")
    topic_partitions: dict[str, int] = Field(
        {}, description="the same for single event topics, as a table of topic to count"
    )
    replication: int = Field(1, ge=1, description="replicas of the topics that `apply` creates")
    host: str = Field(ServeConfig.host, description="address `headrace serve` listens on")
    port: int = Field(ServeConfig.port, ge=1, le=65_535, description="port `headrace serve` listens on")
    features_port: int = Field(
        FeatureServerConfig.port, ge=1, le=65_535, description="port `headrace features` listens on"
    )
    feature_tokens: SecretStr | None = Field(
        None,
        description="tokens, comma separated, one of which requests to `headrace features` bear; "
        "none when not set",
    )
    push_tokens: SecretStr | None = Field(
        None,
        description="tokens, comma separated, one of which pushes of rows to `headrace features` bear; when "
        "not set, anyone pushes, or nobody where `feature_tokens` is set",
    )
    operate_tokens: SecretStr | None = Field(
        None,
        description="tokens, comma separated, one of which requests of operators to `headrace serve` bear; "
        "when not set, nobody operates over HTTP",
    )
    max_body_bytes: int = Field(
        HttpLimits.max_body_bytes, ge=1024, description="most bytes of a request's body; above: 413"
    )
    request_timeout_s: float = Field(
        HttpLimits.request_timeout_s,
        gt=0,
        description="longest time until a request is there; then: 408",
    )
    max_connections: int = Field(
        HttpLimits.max_connections, ge=1, description="most connections to `headrace serve` at once"
    )
    drain_s: float = Field(
        HttpConfig.drain_s,
        ge=0,
        le=3600,
        description="seconds that `serve` and `features` answer after SIGTERM, without being ready",
    )
    allowed_hosts: str = Field(
        "", description="public names that `serve`, and its metrics, are asked by, comma separated; * for any"
    )
    metrics_port: int = Field(
        FaustConfig.metrics_port,
        ge=0,
        le=65_535,
        description="port of `host` where a process shows its health; 0: nowhere",
    )
    follow_plan: bool = Field(
        False,
        description="whether a process whose plan is replaced ends, with exit code 75, to be started anew",
    )
    stuck_s: float = Field(
        FaustConfig.stuck_s,
        ge=60,
        description="a process that stands still for so long with records before it ends",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level logged")

    @field_validator("kafka")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        for part in value.split(","):
            host, _, port = part.rpartition(":")
            if not host or not port.isdigit() or "@" in host:
                raise ValueError(
                    "wanted host:port, several separated by commas; accounts are in kafka_config"
                )
        return value

    @field_validator("kafka_config", "feast_registry")
    @classmethod
    def _of_here(cls, value: Path | None) -> Path | None:
        return value and value.absolute()  # children have another working directory

    @field_validator("redis")
    @classmethod
    def _is_redis_url(cls, value: str) -> str:
        try:
            RedisUrl.parse(value)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("schema_registry")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("wanted http:// or https://, with user:password@ where the registry asks for it")
        try:
            if value is not None:
                registry_parts(value)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("feature_tokens", "push_tokens", "operate_tokens")
    @classmethod
    def _are_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(len(token) >= KEY_BYTES for token in _listed(value)):
            raise ValueError(f"wanted tokens of {KEY_BYTES} characters or more, separated by commas")
        return value

    @field_validator("model_key", "plan_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < KEY_BYTES:
            raise ValueError(
                f"wanted {KEY_BYTES} characters or more; `openssl rand -hex 32` makes a good one"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SettingsFile(settings_cls, init_settings)

    @property
    def feast_file(self) -> Path:
        """Feast's configuration: ``feature_store.yaml``, or another file that Feast's variable names."""
        return Path(os.environ.get(_FEAST_FILE, self.project_dir / "feature_store.yaml"))

    @property
    def project_name(self) -> str:
        """The setting `project`, else the name in ``feature_store.yaml``.

        Raises
        ------
        SettingsError
            When neither names a project.
        """
        if self.project is not None:
            return self.project
        file = self.feast_file
        line = _PROJECT_LINE.search(os.path.expandvars(file.read_text())) if file.exists() else None
        if line is None:
            raise SettingsError(
                f"which project? {file} does not say; name the Feast repository's folder, or set "
                f"{_PREFIX}PROJECT"
            )
        return line[1]

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names of the setting `allowed_hosts`."""
        return tuple(name.strip() for name in self.allowed_hosts.split(",") if name.strip())

    @property
    def tokens_of_features(self) -> tuple[str, ...]:
        """The tokens of the setting `feature_tokens`."""
        return () if self.feature_tokens is None else _listed(self.feature_tokens)

    @property
    def tokens_of_pushes(self) -> tuple[str, ...]:
        """The tokens of the setting `push_tokens`."""
        return () if self.push_tokens is None else _listed(self.push_tokens)

    @property
    def tokens_of_operators(self) -> tuple[str, ...]:
        """The tokens of the setting `operate_tokens`."""
        return () if self.operate_tokens is None else _listed(self.operate_tokens)

    @property
    def data(self) -> Path:
        """Absolute path of the data directory."""
        return (self.data_dir or self.project_dir / ".headrace").resolve()

    @property
    def kafka_access(self) -> Kafka:
        """Access to Kafka: the address, with the properties of the file `kafka_config`.

        Raises
        ------
        SettingsError
            When the file cannot be used; with the line and the remedy.
        """
        if self.kafka_config is None:
            return self.kafka
        from headrace.streams.connections.kafka_properties import read_kafka_properties

        return read_kafka_properties(self.kafka_config, self.kafka)

    @property
    def models_dir(self) -> Path:
        """Directory of the model store."""
        return self.data / "models"

    @property
    def feature_log_dir(self) -> Path:
        """Directory of the feature log."""
        return self.data / "feature_log"

    @property
    def examples_dir(self) -> Path:
        """Directory of the archive of examples."""
        return self.data / "examples"

    def signing_key(self) -> bytes:
        """Return the key that authenticates model artifacts.

        Raises
        ------
        SettingsError
            When there is no key.
        """
        key = self._model_key()
        if key is None:
            raise SettingsError(
                f"there is no key to authenticate models: set {_PREFIX}MODEL_KEY to the same secret for "
                f"`train` and `serve`, or put it into {self._key_file} (`headrace up` makes one there)"
            )
        return key

    def plan_signing_key(self) -> bytes | None:
        """Return the key that authenticates plans: the setting, or one made from the model key; None without.

        Raises
        ------
        SettingsError
            When the file of the model key cannot be used.
        """
        if self.plan_key is not None:
            return self.plan_key.get_secret_value().encode()
        key = self._model_key()
        return None if key is None else derived_key(key, "plans")

    @property
    def _key_file(self) -> Path:
        return self.data / "model.key"

    def _model_key(self) -> bytes | None:
        if self.model_key is not None:
            return self.model_key.get_secret_value().encode()
        return read_key(self._key_file)

    def make_signing_key(self) -> None:
        """Write a new key into the data directory, readable by its owner alone, unless there is one."""
        if self.model_key is None and not self._key_file.exists():
            self.make_data_dir()
            make_key(self._key_file)

    def make_data_dir(self) -> None:
        """Make the data directory, for its owner alone. One that `data_dir` names keeps its rights."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.data_dir is None and self.data.stat().st_mode & 0o077:
                self.data.chmod(0o700)
        except OSError as error:
            raise SettingsError(
                f"the data directory {self.data} cannot be made for this user alone: {error.strerror}; "
                f"correct the rights, or set {_PREFIX}DATA_DIR"
            ) from error

    def environment(self, without: Collection[str] = ()) -> dict[str, str]:
        """Return the environment of a child process that has these settings, but those `without`."""
        kept_back = {_PREFIX + name.upper() for name in without}
        own = environment_without_counters()
        variables = {name: value for name, value in own.items() if name not in kept_back}
        for name, value in self:
            if name in without:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if isinstance(value, dict):
                value = json.dumps(value)
            if value is not None:
                variables[_PREFIX + name.upper()] = str(value)
        return variables


def load_settings(project_dir: Path, **given: Any) -> Settings:
    """Read the settings of a project.

    Parameters
    ----------
    project_dir
        The Feast repository.
    given
        Settings by name that come before the environment, unless they are None.

    Raises
    ------
    SettingsError
        With the setting, the value, the wanted form and where it can be set.
    """
    if not project_dir.is_dir():
        raise SettingsError(
            f"'{project_dir}' is no directory; name the Feast repository with its learners.py"
        )
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(project_dir=project_dir.resolve(), **chosen)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(e, project_dir) for e in error.errors())) from error


def _listed(secret: SecretStr) -> tuple[str, ...]:
    return tuple(part.strip() for part in secret.get_secret_value().split(","))


def _shown(name: str, value: Any) -> str:
    if name in SECRETS or (name in _WITH_ACCOUNT and not isinstance(value, str)):
        return ""
    return f" = {(without_account(value) if name in _WITH_ACCOUNT else value)!r}"


def _explain(error: Any, project_dir: Path) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        hint = name_hint(name, Settings.model_fields)
        return f"{project_dir / FILE}: there is no setting '{name}'; {hint}"
    value = _shown(name, error["input"])
    problem = error["msg"].removeprefix("Value error, ")
    where = f"{_PREFIX}{name.upper()}, or '{name}' in {project_dir / FILE}"
    return f"setting '{name}'{value}: {problem}. Set {where}"
