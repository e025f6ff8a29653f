"""Resolution of references: types of other subjects of a registry, written out in a schema.

Avro defines a type where it first occurs, and refers to it by name afterwards. A schema with references
refers to types that it does not define.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.schemas.avro.schema import PRIMITIVES

_NAMED = frozenset({"record", "error", "enum", "fixed"})
_COMPLEX = ("array", "map")
_Definitions = dict[str, dict[str, Any]]  # full name to definition, which has that name


def written_out(schema: Any, referenced: Sequence[Any]) -> Any:
    """Return a schema in which each type of `referenced` is defined where it first occurs.

    Parameters
    ----------
    schema
        Parsed JSON; it is not changed.
    referenced
        Schemas of the subjects it refers to, directly or by one another, the nearest first: where two define
        a type, the first counts.

    Returns
    -------
    Any
        The schema, as parsed JSON. A name that is defined nowhere stays as it is.

    Examples
    --------
    >>> user = {"type": "record", "name": "shop.User", "fields": [{"name": "id", "type": "long"}]}
    >>> click = {"type": "record", "name": "shop.Click", "fields": [{"name": "user", "type": "User"}]}
    >>> written_out(click, [user])["fields"][0]["type"]["fields"]
    [{'name': 'id', 'type': 'long'}]
    """
    definitions: _Definitions = {}
    for other in referenced:
        for name, definition in _definitions(other, ""):
            definitions.setdefault(name, definition)
    return _Writer(definitions).write(schema, "")


def _definitions(kind: Any, namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each type that a schema defines, with its full name."""
    if isinstance(kind, list):
        for branch in kind:
            yield from _definitions(branch, namespace)
    elif isinstance(kind, dict):
        if kind.get("type") in _NAMED:
            name = _full_name(kind, namespace)
            namespace = name.rpartition(".")[0]
            yield name, _named(kind, name)
        for inner in _inner(kind):
            yield from _definitions(inner, namespace)


def _inner(kind: dict[str, Any]) -> Iterator[Any]:
    yield from (field.get("type") for field in kind.get("fields", ()))
    yield from (kind[part] for part in ("items", "values", "type") if isinstance(kind.get(part), list | dict))


def _full_name(definition: dict[str, Any], namespace: str) -> str:
    name, own = str(definition.get("name", "")), definition.get("namespace", namespace)
    return f"{own}.{name}" if own and "." not in name else name


def _named(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key != "namespace"} | {"name": name}


class _Writer:
    """Writes a schema out, and defines each type once."""

    def __init__(self, definitions: _Definitions) -> None:
        self._definitions, self._written = definitions, set[str]()

    def write(self, kind: Any, namespace: str) -> Any:
        if isinstance(kind, list):
            return [self.write(branch, namespace) for branch in kind]
        if isinstance(kind, str):
            return kind if kind in PRIMITIVES else self._name(kind, namespace)
        if not isinstance(kind, dict):
            return kind
        if kind.get("type") in _NAMED:
            return self._definition(kind, _full_name(kind, namespace))
        parts = [part for part in ("items", "values", "type") if part in kind]
        return kind | {
            part: self.write(kind[part], namespace) for part in parts if kind[part] not in _COMPLEX
        }

    def _name(self, name: str, namespace: str) -> Any:
        """Write a type that is referred to by name: one of this namespace, else, as in Java, of none."""
        full_name = f"{namespace}.{name}" if namespace and "." not in name else name
        if full_name in self._written:
            return full_name
        definition = self._definitions.get(full_name) or self._definitions.get(name)
        return name if definition is None else self._definition(definition, full_name)

    def _definition(self, definition: dict[str, Any], name: str) -> Any:
        if name in self._written:
            return name
        self._written.add(name)
        written, namespace = _named(definition, name), name.rpartition(".")[0]
        if "fields" in written:
            fields = written["fields"]
            written["fields"] = [
                field | {"type": self.write(field.get("type"), namespace)} for field in fields
            ]
        return written
