"""Validation of events against their Avro schema, before they are written.

fastavro's writer does not: it writes 3.7 as 3, "no" as true, and ignores fields that are not in the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from fastavro.validation import ValidationError, validate

from headrace.schemas.avro.schema import parse, parse_record
from headrace.schemas.errors import RecordError
from headrace.schemas.name_hint import name_hint

_FITTING: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
}
_SHOWN = 60  # characters of a value in an error


class RecordValidator:
    """Validates records against a schema.

    Parameters
    ----------
    schema
        Avro schema of a record, in JSON.

    Raises
    ------
    SchemaError
        When the schema is not valid.

    Attributes
    ----------
    names
        Names of the fields.
    """

    def __init__(self, schema: str) -> None:
        record = parse_record(schema, "the schema")
        self._schema = parse(schema, record.label)
        self.names = record.fields.keys()
        self._required = {name for name, field in record.fields.items() if "default" not in field}
        # Python types whose values certainly fit; fastavro judges the others.
        self._fitting = {
            name: frozenset(
                fitting
                for branch in record.branches(field["type"])
                if isinstance(branch, str)
                for fitting in _FITTING[branch]
            )
            for name, field in record.fields.items()
        }

    def check(self, record: Mapping[str, Any]) -> None:
        """Raise unless the schema can hold a record as it is.

        Raises
        ------
        RecordError
            Names the field, its value and the type it must have.
        """
        if record.keys() != self.names:
            self._check_names(record)
        fitting = self._fitting
        for name, value in record.items():
            if value.__class__ not in fitting[name]:
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
            fields = groupby(error.errors, lambda fault: fault.field.removeprefix(f"{self._schema['name']}."))
            raise RecordError("; ".join(_explain(name, list(faults)) for name, faults in fields)) from error


def _explain(field: str, faults: list[Any]) -> str:
    value = faults[0].datum
    shown = repr(value) if len(repr(value)) <= _SHOWN else repr(value)[:_SHOWN] + "..."
    wanted = " or ".join(dict.fromkeys(_wanted(fault.schema) for fault in faults))
    return f"field '{field}': {shown} ({type(value).__name__}) does not fit {wanted}"


def _wanted(schema: Any) -> str:
    """Describe the type of a schema."""
    if isinstance(schema, list):
        return " or ".join(map(_wanted, schema))
    if isinstance(schema, dict) and schema["type"] == "enum":
        return f"one of {', '.join(schema['symbols'])}"
    return str(schema.get("logicalType", schema["type"]) if isinstance(schema, dict) else schema)
