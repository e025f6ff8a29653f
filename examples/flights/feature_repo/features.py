"""Delays as they build up at the airports, the aircraft's own, and the weather: plain Feast definitions.

Event time is when it happened. Every aggregation is a window that ends at the moment of the question.
"""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

HERE = Path(__file__).resolve().parent
TABLES = HERE.parent / "data"

# Window and hop. A window slides by its hop, and a key keeps window / hop tiles: a quarter of an hour for a
# window of an hour, six hours for a week.
SPANS = {
    "1h": (timedelta(hours=1), timedelta(minutes=15)),
    "3h": (timedelta(hours=3), timedelta(minutes=15)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "3d": (timedelta(days=3), timedelta(hours=6)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
}

aircraft = Entity(name="aircraft", join_keys=["tailnum"], value_type=ValueType.STRING)
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
destination = Entity(name="destination", join_keys=["dest"], value_type=ValueType.STRING)
carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)


def event_topic(name: str, record: str, key: str) -> KafkaSource:
    """A topic in event-time order; `key` is the field that is its message key."""
    # `headrace apply` gives each view on the topic the folder of its own rows in the feature log.
    log = FileSource(name=f"{name}_log", path=".headrace/feature_log", timestamp_field="event_timestamp")
    return KafkaSource(
        name=name,
        topic=f"flights.{name}",
        timestamp_field="event_ms",
        message_format=AvroFormat((HERE / "event_schemas" / f"{record}.avsc").read_text()),
        watermark_delay_threshold=timedelta(minutes=15),
        batch_source=log,
        # One partition, so that no view needs a shuffle: every step of the replay waits for every stage.
        tags={"headrace.key": key, "headrace.partitions": "1", "headrace.max_future": "60"},
    )


departures = event_topic("departures", "departure", key="tailnum")
# Labels are learned in the order of this topic, so it has one partition: two would be in no order.
arrivals = event_topic("arrivals", "arrival", key="tailnum")
weather = event_topic("weather", "weather", key="origin")


def feature(function: str, column: str, span: str) -> Aggregation:
    """One windowed feature, named column, function and span."""
    window, hop = SPANS[span]
    name = f"{column}_{function}_{span}"
    return Aggregation(column=column, function=function, time_window=window, slide_interval=hop, name=name)


def stream_view(
    name: str, source: KafkaSource, entities: list[Entity], aggregations: list[Aggregation], number=Int64
) -> StreamFeatureView:
    """A view of a topic per entity; `number` is the type of its columns, which `last` passes on."""
    types = {"count": Int64, "mean": Float64, "last": number}
    return StreamFeatureView(
        name=name,
        source=source,
        entities=entities,
        timestamp_field="event_ms",
        schema=[Field(name=key, dtype=String) for entity in entities for key in [entity.join_key]]
        + [Field(name=a.name, dtype=types[a.function]) for a in aggregations],
        aggregations=aggregations,
    )


origin_departures = stream_view(
    "origin_departures",
    departures,
    [origin],
    [
        feature("count", "dep_delay", "1h"),
        feature("mean", "dep_delay", "1h"),
        feature("mean", "dep_delay", "24h"),
        feature("mean", "dep_delay", "7d"),
        feature("mean", "late", "1h"),
        feature("mean", "late", "3h"),
    ],
)
carrier_departures = stream_view(
    "carrier_departures",
    departures,
    [origin, carrier],
    [feature("mean", "dep_delay", "1h"), feature("mean", "dep_delay", "3h"), feature("mean", "late", "7d")],
)
origin_arrivals = stream_view("origin_arrivals", arrivals, [origin], [feature("mean", "arr_delay", "1h")])
carrier_arrivals = stream_view(
    "carrier_arrivals", arrivals, [origin, carrier], [feature("mean", "arr_delay", "1h")]
)
route_arrivals = stream_view(
    "route_arrivals",
    arrivals,
    [origin, destination],
    [feature("mean", "arr_delay", "24h"), feature("mean", "arr_delay", "7d")],
)
destination_arrivals = stream_view(
    "destination_arrivals",
    arrivals,
    [destination],
    [
        feature("mean", "arr_delay", "1h"),
        feature("mean", "arr_delay", "3h"),
        feature("mean", "delayed", "7d"),
    ],
)
aircraft_departures = stream_view(
    "aircraft_departures",
    departures,
    [aircraft],
    [feature("last", "dep_delay", "3d"), feature("last", "event_ms", "3d")],
)
aircraft_arrivals = stream_view(
    "aircraft_arrivals",
    arrivals,
    [aircraft],
    [
        feature("last", "arr_delay", "3d"),
        feature("last", "event_ms", "3d"),
        feature("last", "block_minutes", "3d"),
    ],
)
latest_weather = stream_view(
    "latest_weather",
    weather,
    [origin],
    [
        feature("last", column, "3h")
        for column in (
            "temp",
            "dewp",
            "humid",
            "wind_dir",
            "wind_speed",
            "precip",
            "pressure",
            "visib",
        )
    ],
    number=Float64,
)

planes = FeatureView(
    name="planes",
    entities=[aircraft],
    source=FileSource(
        name="planes_table", path=str(TABLES / "planes.parquet"), timestamp_field="event_timestamp"
    ),
    schema=[
        Field(name="tailnum", dtype=String),
        Field(name="age", dtype=Float64),
        Field(name="seats", dtype=Int64),
        Field(name="engines", dtype=Int64),
        Field(name="jet", dtype=Bool),
    ],
    ttl=timedelta(0),
)
airports = FeatureView(
    name="airports",
    entities=[destination],
    source=FileSource(
        name="airports_table", path=str(TABLES / "airports.parquet"), timestamp_field="event_timestamp"
    ),
    schema=[
        Field(name="dest", dtype=String),
        Field(name="lat", dtype=Float64),
        Field(name="lon", dtype=Float64),
        Field(name="altitude", dtype=Float64),
    ],
    ttl=timedelta(0),
)

DELAYS = [
    origin_departures,
    origin_arrivals,
    carrier_departures,
    carrier_arrivals,
    route_arrivals,
    destination_arrivals,
    aircraft_departures,
    aircraft_arrivals,
]
static_features = FeatureService(name="static", features=[planes, airports])
streaming_features = FeatureService(name="streaming", features=[*DELAYS, latest_weather, planes, airports])
tree_features = FeatureService(
    name="tree",
    features=[
        origin_departures,
        carrier_departures,
        destination_arrivals,
        aircraft_departures,
        aircraft_arrivals,
        latest_weather[["visib_last_3h", "wind_speed_last_3h", "precip_last_3h", "humid_last_3h"]],
    ],
)
