"""The reference of the HTTP endpoints, from the OpenAPI document that `headrace serve` gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.learners.serving.openapi import openapi


def http_reference() -> str:
    """Return a section of Markdown for each operation, and one for each model it takes or answers."""
    document = openapi("Headrace", "")
    operations = [
        "\n\n".join(_operation(method, path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    models = [
        "\n\n".join(_model(name, schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return "\n\n".join([*operations, "## Bodies", *models])


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {method.upper()} {path}"
    yield f"{operation['summary']}."
    if "requestBody" in operation:
        yield f"Takes {_content(operation['requestBody'])}."
    answers = [
        f"* {code}, {answer['description']}: {_content(answer)}"
        for code, answer in operation["responses"].items()
    ]
    yield "\n".join(answers)


def _model(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    if "description" in schema:
        yield schema["description"]
    required = schema.get("required", [])
    rows = [
        f"| `{field}` | {_type(of)} | {'yes' if field in required else _default(of)} | {_told(of)} |"
        for field, of in schema.get("properties", {}).items()
    ]
    yield "\n".join(["| field | type | required, else default | |", "|---|---|---|---|", *rows])


def _content(body: dict[str, Any]) -> str:
    return _type(body["content"]["application/json"]["schema"])


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _default(schema: dict[str, Any]) -> str:
    return f"`{schema['default']}`" if schema.get("default") is not None else ""


def _told(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).replace("|", r"\|").replace("\n", " ")
