"""What becomes of each argument of Feast's constructors: obeyed, told, or without effect in Feast itself.

A test holds the table against the installed Feast: an argument that it does not know fails it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

from headrace.featurestore.compile.definition import object_name
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.errors import DefinitionError, place

_DESCRIBED = ("name", "description", "tags", "owner")
_ENGINE = "Feast's engine would also write what it computes to the offline store"
_ORG = "Feast's catalogue would show it; a plan keeps owner, description and tags"
_CHECKS = "Feast's engine would check columns and types by it"
_TABLE_CHECKS = f"{_CHECKS}; `headrace materialize` always refuses other types"
_EVENT_CHECKS = f"{_CHECKS}; workers check events by their schema, and `headrace.expect` tags"
_KAFKA = "Feast's engine would read there; workers read the Kafka of the setting `kafka` (HEADRACE_KAFKA)"


@dataclass(frozen=True)
class Attributes:
    """The arguments of one constructor.

    Attributes
    ----------
    obeyed
        Those that the compilation reads, be it to leave the object out.
    told
        Those that have no effect here, each with what Feast would do.
    without_effect
        Those that have none in Feast either, as far as Headrace runs the object.
    """

    obeyed: tuple[str, ...]
    told: Mapping[str, str] = default(default_factory=dict)
    without_effect: tuple[str, ...] = ()


_VIEW = (*_DESCRIBED, "source", "schema", "entities", "ttl", "online", "version")
# By the name of the class. Batch sources are Feast's alone, and are not here: it reads their tables by them.
ATTRIBUTES: Mapping[str, Attributes] = {
    "Entity": Attributes((*_DESCRIBED, "join_keys", "value_type")),
    "Field": Attributes(
        ("name", "dtype", "description", "tags", "vector_length"),
        {"vector_index": "Feast would search by it; features are served by key here"},
        ("vector_search_metric",),  # without an index, which is told
    ),
    "FeatureView": Attributes(
        (*_VIEW, "enabled"),
        {
            "offline": _ENGINE,
            "org": _ORG,
            "enable_validation": _TABLE_CHECKS,
        },
        ("mode", "sink_source"),  # of transformations, and of views on views, which are left out
    ),
    "BatchFeatureView": Attributes(
        (*_VIEW, "udf", "feature_transformation", "aggregations"),
        {
            "offline": _ENGINE,
            "org": _ORG,
            "enable_validation": _TABLE_CHECKS,
            "batch_engine": "Feast would materialise with it; `headrace materialize` runs where it is called",
        },
        ("mode", "udf_string", "sink_source"),
    ),
    "StreamFeatureView": Attributes(
        (
            *(*_VIEW, "aggregations", "mode", "timestamp_field", "udf", "feature_transformation"),
            *("enable_tiling", "tiling_hop_size"),
        ),
        {
            "offline": "Feast's engine would also write to the offline store; here that is the feature log",
            "org": _ORG,
            "enable_validation": _EVENT_CHECKS,
            "stream_engine": "Feast would start its own engine with it; workers have settings",
        },
        ("udf_string", "sink_source"),
    ),
    "OnDemandFeatureView": Attributes(
        (
            *(*_DESCRIBED, "schema", "sources", "input_schema", "udf", "feature_transformation", "mode"),
            *("write_to_online_store", "singleton", "aggregations", "version", "enabled"),
        ),
        {"org": _ORG, "track_metrics": "Feast's servers would time its function; Headrace's time requests"},
        ("udf_string", "entities"),  # of rows that such a view writes, which is left out
    ),
    "FeatureService": Attributes((*_DESCRIBED, "features", "precompute_online", "logging_config")),
    "KafkaSource": Attributes(
        (
            *(*_DESCRIBED, "timestamp_field", "message_format", "topic", "field_mapping", "batch_source"),
            "watermark_delay_threshold",
        ),
        {
            "bootstrap_servers": _KAFKA,
            "kafka_bootstrap_servers": _KAFKA,
            "created_timestamp_column": "Feast would order equal times by it; here the place in the log does",
        },
    ),
    "PushSource": Attributes((*_DESCRIBED, "batch_source")),
    "RequestSource": Attributes((*_DESCRIBED, "schema"), without_effect=("timestamp_field",)),
    "Aggregation": Attributes(("column", "function", "time_window", "slide_interval", "name")),
}


def attribute_notes(item: Any, same: Collection[Any] = ()) -> Iterator[str]:
    """Yield a line for each argument of an object that has no effect here and would have one in Feast.

    Parameters
    ----------
    item
        Feast's object.
    same
        Values that are those in use here, whatever says so.
    """
    for name, value, effect in _told(item):
        if value not in same:
            shown = "" if isinstance(value, Mapping) else f"={value!r}"
            yield f"{name}{shown} is not obeyed. {effect}"


def attributes_told(
    repository: FeastRepository, left_out: Iterable[DefinitionError], same: Collection[Any] = ()
) -> Iterator[str]:
    """Yield the lines of all objects but those that are left out, each with file, line and object.

    Parameters
    ----------
    same
        As `attribute_notes` has it.
    """
    contents = repository.contents
    views = [*contents.stream_feature_views, *contents.feature_views, *contents.on_demand_feature_views]
    without = {error.name for error in left_out}
    for item in (*contents.data_sources, *views, *contents.feature_services):
        readers = [view for view in views if getattr(view, "stream_source", None) is item]
        name = object_name(item)
        if name not in without:
            where = place(repository.file_of(item, *readers), repository.line_of(item, *readers))
            yield from (f"{where}: {name}: {note}" for note in attribute_notes(item, same))
            for field in getattr(item, "features", ()) if item in views else ():
                notes = attribute_notes(field)
                yield from (f"{where}: {name}, feature '{field.name}': {note}" for note in notes)


def _told(item: Any) -> Iterator[tuple[str, Any, str]]:
    attributes = ATTRIBUTES.get(type(item).__name__)
    options = getattr(item, "kafka_options", None)
    for name, effect in (attributes.told if attributes else {}).items():
        if value := getattr(options, name, None) or getattr(item, name, None):
            yield name, value, effect
