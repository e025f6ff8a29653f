"""Expectations of the fields of an event topic, and of the features of a view, from their tags.

    tags={
        "headrace.expect.amount": "min=0 max=10000 quarantine",     # others are dead letters
        "headrace.expect.country": "in='DE|New Zealand' nulls=0.01",  # counted; logged beyond 1 % of nulls
        "headrace.expect.event_ms": "fresh=300",                    # logged when the newest event is older
    }

The event schema itself expects types: a record that does not fit it is a dead letter in any case.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.featurestore.compile.definition import TAG_PREFIX, Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn, Kind
from headrace.featurestore.compile.expectation_tag import read_expectation
from headrace.schemas.feature_specs import BatchViewSpec, ExpectationSpec, StreamViewSpec

EXPECT = "expect."
_KINDS: dict[str, Kind] = {
    "Int32": "int",
    "Int64": "long",
    "Float32": "float",
    "Float64": "double",
    "String": "string",
    "Bool": "boolean",
}


def compile_expectations(
    definition: Definition, tags: Mapping[str, str], columns: Mapping[str, EventColumn], timestamp_field: str
) -> tuple[ExpectationSpec, ...]:
    """Compile the expectations of a source, one per field, in order of their names.

    Parameters
    ----------
    definition
        The source, for its errors.
    tags
        Those of Headrace, without prefix. Their names are known to be fields.
    columns
        The fields of the event schema.
    timestamp_field
        The field of which freshness can be expected.

    Raises
    ------
    DefinitionError
        When an expectation cannot be read, or does not fit the type of its field.
    """
    specs = []
    for name, text in sorted(tags.items()):
        if name.startswith(EXPECT):
            field = name.removeprefix(EXPECT)
            tag = definition.part(f"tag '{TAG_PREFIX}{name}'")
            specs.append(read_expectation(tag, columns[field], text, field == timestamp_field))
    return tuple(specs)


def compile_view_expectations(
    definition: Definition, view: StreamViewSpec | BatchViewSpec, tags: Mapping[str, str]
) -> tuple[ExpectationSpec, ...]:
    """Compile the expectations of the features of a view.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Its specification.
    tags
        All tags of the view, with their prefix.

    Raises
    ------
    DefinitionError
        As those of a source; and when a name is no feature, or a feature is quarantined.
    """
    columns = {f.name: EventColumn(f.name, _KINDS.get(f.dtype, "other")) for f in view.features}
    own = {name.removeprefix(TAG_PREFIX): text for name, text in tags.items() if name.startswith(TAG_PREFIX)}
    own = {name: text for name, text in own.items() if name.startswith(EXPECT)}
    for name in own:
        if name.removeprefix(EXPECT) not in columns:
            known = [TAG_PREFIX + EXPECT + column for column in columns]
            raise definition.error(
                f"tag '{TAG_PREFIX}{name}' is of no feature", suggestion(TAG_PREFIX + name, known)
            )
    specs = compile_expectations(definition, own, columns, "")
    for spec in specs:
        if spec.quarantine:
            tag = definition.part(f"tag '{TAG_PREFIX}{EXPECT}{spec.field}'")
            raise tag.error(
                "a feature follows from records that were accepted",
                "Quarantine the field, in the tags of the source",
            )
    return specs
