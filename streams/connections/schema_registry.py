"""A registry of schemas with Confluent's HTTP interface.

An id that the registry does not know is an error of the records that have it: they become dead letters. A
registry that cannot be asked says nothing about them: they are held back until it answers.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote, unquote

from headrace.schemas.avro.bounds import refuse_deep
from headrace.schemas.errors import SchemaError, ServiceUnavailable, SettingsError
from headrace.streams.connections.schema_references import written_out
from headrace.streams.connections.timed_http import timed_opener
from headrace.streams.connections.url_accounts import registry_parts

_ACCEPTED = "application/vnd.schemaregistry.v1+json, application/json"
_TIMEOUT_S = 10.0
_NO_SUCH_SCHEMA = (40401, 40402, 40403)  # no such subject, version, schema
_MOST_REFERENCES = 500
_MOST_ID = 2**31 - 1
_LONGEST_ANSWER = 4 * 1024**2  # bytes; also of all answers together that one schema takes
_LONGEST_S = 30.0  # of all answers together, from the first byte to the last
_PIECE = 64 * 1024


@dataclass(frozen=True)
class RegistryAccess:
    """The address of a registry and the account to ask it with. Secrets are not shown.

    Attributes
    ----------
    url
        Address of its Confluent interface, for example ``https://user:password@registry:8081``; for Apicurio
        ``http://registry:8080/apis/ccompat/v7``.
    token
        Bearer token, in place of an account in the URL.
    ca_file
        Certificates (PEM) of trusted authorities; None: those that the system trusts.
    """

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class _Budget:
    """What the answers about one schema may take, all together."""

    def __init__(self, what: str, now: Callable[[], float]) -> None:
        self._what, self._now = what, now
        self._bytes, self._until_s = 0, now() + _LONGEST_S

    def read(self, response: Any) -> bytes:
        """Read an answer.

        Raises
        ------
        SchemaError
            When the answers are too long.
        TimeoutError
            When they come too slowly.
        """
        parts = []
        while part := response.read1(_PIECE):
            parts.append(part)
            self._bytes += len(part)
            if self._bytes > _LONGEST_ANSWER:
                longest = f"{_LONGEST_ANSWER // 1024**2} MiB"
                raise SchemaError(f"{self._what} is longer than {longest}, with all that it refers to")
            if self._now() > self._until_s:
                raise TimeoutError(f"the answer was not there within {_LONGEST_S:g} s")
        return b"".join(parts)


class SchemaRegistry:
    """Asks a registry for schemas by their ids.

    Parameters
    ----------
    access
        Address and account, or the URL alone.
    now
        A monotonic clock, seconds.

    Raises
    ------
    SettingsError
        When the URL is none, there are both an account and a token, the token has characters that no token
        has, or the certificates cannot be read.
    """

    def __init__(self, access: RegistryAccess | str, now: Callable[[], float] = time.monotonic) -> None:
        access = RegistryAccess(access) if isinstance(access, str) else access
        parts, self._now = registry_parts(access.url), now
        self.address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._authorization = _authorization(parts, access.token, self.address)
        self._opener = timed_opener(_trusting(access.ca_file))

    def schema(self, schema_id: int) -> str:
        """Return the Avro schema with an id, in JSON, with types of other subjects written out. Blocks.

        Raises
        ------
        SchemaError
            When the registry does not know the id, or the schema cannot be used.
        ServiceUnavailable
            When the registry is away or overloaded, refuses the account, or is not a registry.
        """
        what = f"schema id {schema_id}"
        if schema_id > _MOST_ID:  # which some registries answer as if they were out of order
            raise SchemaError(f"{what} is none that a registry gives: those are at most {_MOST_ID}")
        try:
            return self._whole(f"/schemas/ids/{schema_id}", what)
        except (SchemaError, ServiceUnavailable):
            raise
        except Exception as error:  # whatever is made of an answer of any shape
            problem = f"{type(error).__name__}: {error}"
            raise SchemaError(f"{what} in {self.address} cannot be used ({problem[:200]})") from error

    def _whole(self, path: str, what: str) -> str:
        budget = _Budget(f"{what} in {self.address}", self._now)
        answer = self._get(path, what, budget)
        text = self._text(answer, what)
        references = answer.get("references")
        if not references:
            return text
        others = self._referenced(references, what, budget)
        schema = written_out(self._parsed(text, what), others)
        refuse_deep(schema, f"{what} in {self.address}, with all that it refers to,")
        return json.dumps(schema)

    def _referenced(self, references: Any, what: str, budget: _Budget) -> list[Any]:
        """Return the schemas that are referred to, directly or by one another, the nearest first."""
        schemas: dict[tuple[str, int], Any] = {}
        open_references = deque(references)
        while open_references:
            subject, version = _where(open_references.popleft(), what)
            if (subject, version) in schemas:
                continue
            if len(schemas) == _MOST_REFERENCES:
                raise SchemaError(f"{what} in {self.address} refers to more than {_MOST_REFERENCES} schemas")
            wanted = f"subject '{subject}' version {version}, which {what} refers to,"
            path = f"/subjects/{quote(subject, safe='')}/versions/{version}"
            answer = self._get(path, wanted, budget)
            schemas[subject, version] = self._parsed(self._text(answer, wanted), wanted)
            open_references.extend(answer.get("references") or [])
        return list(schemas.values())

    def _text(self, answer: dict[str, Any], what: str) -> str:
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise SchemaError(f"{what} is {answer['schemaType']} in {self.address}, not Avro")
        if not isinstance(answer.get("schema"), str):
            raise ServiceUnavailable(f"{self.address} answers without a schema; is it the URL of a registry?")
        return str(answer["schema"])

    def _parsed(self, text: str, what: str) -> Any:
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise SchemaError(f"{what} in {self.address} is no JSON: {error}") from error
        except RecursionError as error:
            raise SchemaError(f"{what} in {self.address} is nested deeper than JSON is read") from error
        refuse_deep(parsed, f"{what} in {self.address}")
        return parsed

    def _get(self, path: str, what: str, budget: _Budget) -> dict[str, Any]:
        url = self.address + path
        request = urllib.request.Request(url, headers={"Accept": _ACCEPTED})
        if self._authorization is not None:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer = json.loads(budget.read(response))
        except HTTPError as error:
            with error:
                if error.code == 404 and _error_code(error) in _NO_SUCH_SCHEMA:
                    raise SchemaError(f"{what} is unknown to {self.address}") from error
            raise ServiceUnavailable(f"{url} answers {error.code} {error.reason}{_hint(error)}") from error
        except RecursionError as error:
            raise SchemaError(f"{what} in {self.address} is nested deeper than JSON is read") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceUnavailable(f"{url} cannot be asked: {error!r}{_hint(error)}") from error
        if not isinstance(answer, dict):
            raise ServiceUnavailable(f"{url} answers no object; is it the URL of a registry?")
        return answer


def _authorization(parts: SplitResult, token: str | None, address: str) -> str | None:
    """Return the ``Authorization`` header."""
    account = None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    if token is None:
        return account and "Basic " + base64.b64encode(account.encode()).decode()
    if account is not None:
        raise SettingsError(
            f"the registry {address} has both an account in its URL and a token: take the account out of "
            "HEADRACE_SCHEMA_REGISTRY, or unset HEADRACE_SCHEMA_REGISTRY_TOKEN"
        )
    if not re.fullmatch(r"[!-~]+", token.strip()):  # else `http.client` would show it in its complaint
        raise SettingsError("HEADRACE_SCHEMA_REGISTRY_TOKEN has characters that no token has, or is empty")
    return f"Bearer {token.strip()}"


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts some authorities."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # of which an SSLError is one
        raise SettingsError(
            f"the certificates in '{ca_file}' cannot be used: {error}; set HEADRACE_SCHEMA_REGISTRY_CA to a "
            "file in PEM with the authority that signed the registry's certificate"
        ) from error


def _where(reference: Any, what: str) -> tuple[str, int]:
    """Return subject and version of a reference."""
    try:
        return str(reference["subject"]), int(reference["version"])
    except (TypeError, KeyError, ValueError) as error:
        raise SchemaError(f"{what} has a reference without subject and version: {reference!r}") from error


def _hint(error: Exception) -> str:
    """Return the remedy for an error, or nothing."""
    if isinstance(error, HTTPError) and error.code in (401, 403):
        return (
            "; it wants another account: put user:password@ into HEADRACE_SCHEMA_REGISTRY, or set "
            "HEADRACE_SCHEMA_REGISTRY_TOKEN"
        )
    if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
        return (
            "; set HEADRACE_SCHEMA_REGISTRY_CA to a file with the authority that signed its certificate, and "
            "use the host name the certificate is for"
        )
    return ""


def _error_code(error: HTTPError) -> object:
    try:
        answer = json.loads(error.read(_LONGEST_ANSWER))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    return answer.get("error_code") if isinstance(answer, dict) else None
