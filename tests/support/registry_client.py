"""Registers schemas with a registry, as producers do."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.support.waiting import PATIENCE_S


def register(
    url: str, subject: str, schema: Any, kind: str = "AVRO", references: Mapping[str, str] | None = None
) -> int:
    """Register a schema as producers do; its id. `references`: name of a type to the subject that has it."""
    body: dict[str, Any] = {"schema": json.dumps(schema)}
    if kind != "AVRO":
        body["schemaType"] = kind
    if references:
        body["references"] = [{"name": n, "subject": s, "version": 1} for n, s in references.items()]
    request = urllib.request.Request(
        f"{url}/subjects/{subject}/versions",
        json.dumps(body).encode(),
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return int(json.load(response)["id"])
