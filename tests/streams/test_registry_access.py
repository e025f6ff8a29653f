"""Who asks a registry, over what, and that no secret shows."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from headrace.streams.connections.schema_registry import RegistryAccess, SchemaRegistry
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.writer_schemas import WriterSchemas
from headrace.testing import SchemaRegistryStandIn
from tests.support.waiting import PATIENCE_S, eventually_in_loop

SCHEMA = {"type": "record", "name": "E", "fields": [{"name": "a", "type": "long"}]}
TOKEN = "s3cret-token"
WAITS = "records of schema id 2 wait"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of ``localhost``, which is its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    file = tmp_path_factory.mktemp("tls") / "registry.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command += ["-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(command, cwd=file.parent, check=True, capture_output=True)
    file.write_text((file.parent / "key.pem").read_text() + (file.parent / "ca.pem").read_text())
    return file


@pytest.fixture
def plain() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn({2: SCHEMA}) as server:
        yield server


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn({2: SCHEMA}, certificate) as server:
        yield server


def test_a_token_is_sent_with_every_request(plain: SchemaRegistryStandIn) -> None:
    plain.wanted = f"Bearer {TOKEN}"
    registry = SchemaRegistry(RegistryAccess(plain.url, TOKEN + "\n"))  # as it comes out of a file
    assert json.loads(registry.schema(2)) == SCHEMA


def test_an_account_that_is_refused_is_told_with_the_settings_and_without_the_password(
    plain: SchemaRegistryStandIn,
) -> None:
    plain.wanted = "Basic of another"
    for access in (
        RegistryAccess(plain.url.replace("//", "//me:pa%40ss@")),
        RegistryAccess(plain.url, TOKEN),
        RegistryAccess(plain.url),
    ):
        with pytest.raises(ServiceUnavailable) as caught:
            SchemaRegistry(access).schema(2)
        told = str(caught.value)
        assert told.startswith(
            f"{plain.url}/schemas/ids/2 answers 401 Unauthorized; it wants another account"
        )
        assert "HEADRACE_SCHEMA_REGISTRY" in told
        assert "HEADRACE_SCHEMA_REGISTRY_TOKEN" in told
        for secret in ("pa%40ss", "pa@ss", TOKEN):
            assert secret not in told + repr(access)


async def test_no_secret_is_logged_while_a_registry_is_waited_for(
    plain: SchemaRegistryStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    plain.wanted = "another"
    reader = json.dumps({**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "b", "type": "int", "default": 0}]})
    decoder = AvroDecoder(reader, {1: reader}, ["a"])
    records = LogRecords.of([LogRecord(0, 0, None, encode_confluent(json.dumps(SCHEMA), 2, {"a": 1}))])
    with caplog.at_level(logging.DEBUG):
        for access in (
            RegistryAccess(plain.url.replace("//", "//me:s3cret@")),
            RegistryAccess(plain.url, TOKEN),
        ):
            schemas = WriterSchemas.at(access)
            waiting = asyncio.create_task(schemas.supply(decoder, records))
            await eventually_in_loop(lambda: caplog.text, "a warning", lambda text: WAITS in text)
            plain.wanted = None
            async with asyncio.timeout(PATIENCE_S):
                assert await waiting
            assert "s3cret" not in caplog.text
            caplog.clear()
            plain.wanted = "another"
            decoder = AvroDecoder(reader, {1: reader}, ["a"])


@pytest.mark.parametrize("token", ["two words", "new\nline", "", "\u00e9"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_SCHEMA_REGISTRY_TOKEN has characters") as caught:
        SchemaRegistry(RegistryAccess("http://registry", token))
    assert not token or token not in str(caught.value)


def test_an_account_and_a_token_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="both an account in its URL and a token") as caught:
        SchemaRegistry(RegistryAccess("http://me:pass@registry", TOKEN))
    assert "pass@" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_registry_behind_tls_is_asked_when_its_authority_is_trusted(
    encrypted: SchemaRegistryStandIn, certificate: Path
) -> None:
    encrypted.wanted = "Basic bWU6c0BjcmV0"
    url = encrypted.url.replace("//", "//me:s%40cret@")
    registry = SchemaRegistry(RegistryAccess(url, ca_file=certificate.parent / "ca.pem"))
    assert json.loads(registry.schema(2)) == SCHEMA
    with pytest.raises(ServiceUnavailable, match=r"CERTIFICATE_VERIFY_FAILED.*HEADRACE_SCHEMA_REGISTRY_CA"):
        SchemaRegistry(url).schema(2)
    elsewhere = RegistryAccess(url.replace("localhost", "127.0.0.1"), ca_file=certificate.parent / "ca.pem")
    with pytest.raises(ServiceUnavailable, match="the host name the certificate is for"):
        SchemaRegistry(elsewhere).schema(2)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    for text in (None, "no certificate"):
        if text is not None:
            broken.write_text(text)
        with pytest.raises(SettingsError, match=r"ca.pem' cannot be used: .*HEADRACE_SCHEMA_REGISTRY_CA"):
            SchemaRegistry(RegistryAccess("https://registry", ca_file=broken))
