"""Files of secrets that others can read are named with the command that hides them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.deploy.secret_files import exposed_secrets
from headrace.deploy.settings import load_settings

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)


def write(file: Path, text: str, mode: int = 0o644) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_each_file_of_secrets_that_others_can_read_is_named_once(tmp_path: Path) -> None:
    key = write(tmp_path / "client.key", "a key")
    properties = f"sasl.password=hunter2\nssl.key.location={key}\nssl.keystore.location={key}\n"
    kafka = write(tmp_path / "kafka.properties", properties)
    toml = write(tmp_path / "headrace.toml", f'model_key = "{KEY}"\nkafka_config = "{kafka}"\n')
    model_key = write(tmp_path / ".headrace" / "model.key", KEY)
    warnings = exposed_secrets(load_settings(tmp_path))
    assert [warning.split()[0] for warning in warnings] == [*map(str, (toml, model_key, kafka, key))]
    assert all("chmod o-rwx" in warning and "hunter2" not in warning for warning in warnings)
    for file in (key, kafka, toml, model_key):
        file.chmod(0o640)
    assert exposed_secrets(load_settings(tmp_path)) == []


def test_files_of_keys_are_found_wherever_they_are_named(tmp_path: Path) -> None:
    keys = [write(tmp_path / f"{name}.key", "a key") for name in ("redis", "token", "store")]
    properties = f"sasl.oauthbearer.assertion.private.key.file={keys[1]}\nssl.keystore.location={keys[2]}\n"
    kafka = write(tmp_path / "kafka.properties", properties)
    url = f"rediss://host?ssl_keyfile={keys[0]}"
    warnings = exposed_secrets(load_settings(tmp_path, redis=url, kafka_config=kafka))
    assert [warning.split()[0] for warning in warnings] == [str(key) for key in keys]


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("  connection_string: localhost:6379\n", False),
        ("  connection_string: localhost:6379,password=${REDIS_PASSWORD}\n", False),
        ("  path: postgresql://feast:$PASSWORD@host/feast\n", False),
        ("  # password: pw\n", False),
        ("  connection_string: localhost:6379,password=pw\n", True),
        ("  path: postgresql://feast:pw@host/feast\n", True),
        ('  password: "pw"\n', True),
        ("  auth: {type: oidc, client_secret: pw}\n", True),
    ],
)
def test_the_configuration_of_feast_is_looked_at(tmp_path: Path, line: str, secret: bool) -> None:
    write(tmp_path / "feature_store.yaml", f"project: shop\nonline_store:\n{line}")
    assert len(exposed_secrets(load_settings(tmp_path))) == secret


def test_a_key_in_the_file_of_kafka_is_a_secret(tmp_path: Path) -> None:
    kafka = write(tmp_path / "kafka.properties", "ssl.key.pem=-----BEGIN PRIVATE KEY-----\n")
    assert len(exposed_secrets(load_settings(tmp_path, kafka_config=kafka))) == 1


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("port = 8080\n", False),
        ('# redis = "redis://me:pw@host"\n', False),
        ('redis = "redis://host:6379/0"\n', False),
        ('redis = "redis://me:pw@host"\n', True),
        ('redis = "redis://host?password=pw"\n', True),
        ('schema_registry_token = "abc"\n', True),
    ],
)
def test_a_file_without_secrets_may_be_read(tmp_path: Path, text: str, secret: bool) -> None:
    write(tmp_path / "headrace.toml", text)
    assert len(exposed_secrets(load_settings(tmp_path))) == secret
