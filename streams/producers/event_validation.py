"""Whether a record is one of its Avro schema, told before it is written.

fastavro's writer is obliging: it makes 3 of 3.7, true of "no", and passes over fields it does not know. A
producer wants to hear of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from fastavro.validation import ValidationError, validate

from headrace.schemas.avro.schema import parse, parse_record
from headrace.schemas.errors import RecordError
from headrace.schemas.name_hint import name_hint

_TAKEN: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
}
_SHOWN = 60


class RecordValidator:
    """Checks records against one schema.

    Parameters
    ----------
    schema
        Avro schema of a record, in JSON.

    Raises
    ------
    SchemaError
        When it is none.
    """

    def __init__(self, schema: str) -> None:
        record = parse_record(schema, "the schema")
        self._schema = parse(schema, record.label)
        self.names = record.fields.keys()
        self._required = {name for name, field in record.fields.items() if "default" not in field}
        # Python types that certainly fit; whatever else there is, fastavro judges.
        self._taken = {
            name: frozenset(
                taken
                for branch in record.branches(field["type"])
                if isinstance(branch, str)
                for taken in _TAKEN[branch]
            )
            for name, field in record.fields.items()
        }

    def check(self, record: Mapping[str, Any]) -> None:
        """Pass a record that its schema can hold as it is.

        Raises
        ------
        RecordError
            Names the field, its value and what is wanted.
        """
        if record.keys() != self.names:
            self._check_names(record)
        taken = self._taken
        for name, value in record.items():
            if value.__class__ not in taken[name]:
                self._check_values(record)
                return

    def _check_names(self, record: Mapping[str, Any]) -> None:
        for name in record:
            if name not in self.names:
                raise RecordError(f"field '{name}' is not in the schema; {name_hint(name, self.names)}")
        for name in self.names:
            if name in self._required and name not in record:
                raise RecordError(
                    f"field '{name}' is missing and has no default in the schema; give it a value"
                )

    def _check_values(self, record: Mapping[str, Any]) -> None:
        defaults = {f["name"]: f["default"] for f in self._schema["fields"] if f["name"] not in record}
        try:
            validate({**defaults, **record}, self._schema)
        except ValidationError as error:
            fields = groupby(error.errors, lambda one: one.field.removeprefix(f"{self._schema['name']}."))
            raise RecordError("; ".join(_told(name, list(found)) for name, found in fields)) from error


def _told(field: str, found: list[Any]) -> str:
    value = found[0].datum
    shown = repr(value) if len(repr(value)) <= _SHOWN else repr(value)[:_SHOWN] + "..."
    wanted = " or ".join(dict.fromkeys(_wanted(one.schema) for one in found))
    return f"field '{field}': {shown} ({type(value).__name__}) does not fit {wanted}"


def _wanted(schema: Any) -> str:
    if isinstance(schema, list):
        return " or ".join(map(_wanted, schema))
    if isinstance(schema, dict) and schema["type"] == "enum":
        return f"one of {', '.join(schema['symbols'])}"
    return str(schema.get("logicalType", schema["type"]) if isinstance(schema, dict) else schema)
