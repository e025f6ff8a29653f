"""What is known of a customer: orders of the last hour and day from a topic, master data from a table."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

HERE = Path(__file__).resolve().parent

customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)

orders = KafkaSource(
    name="orders",
    topic="my_project.orders",
    timestamp_field="event_ms",
    message_format=AvroFormat((HERE / "event_schemas" / "order.avsc").read_text()),
    watermark_delay_threshold=timedelta(minutes=5),  # how late an order may come
    batch_source=FileSource(
        name="orders_log",
        path=str(HERE / ".headrace" / "feature_log" / "customer_orders"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    ),
    tags={
        "headrace.key": "customer",  # the field that is the message key
        "headrace.expect.amount": "min=0 max=100000 quarantine",  # other orders are dead letters
    },
)

customer_orders = StreamFeatureView(
    name="customer_orders",
    source=orders,
    entities=[customer],
    timestamp_field="event_ms",
    schema=[
        Field(name="customer", dtype=String),
        Field(name="orders_1h", dtype=Int64),
        Field(name="spent_1h", dtype=Float64),
        Field(name="spent_mean_1d", dtype=Float64),
    ],
    aggregations=[
        Aggregation(
            name="orders_1h",
            column="amount",
            function="count",
            time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5),
        ),
        Aggregation(
            name="spent_1h",
            column="amount",
            function="sum",
            time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5),
        ),
        Aggregation(
            name="spent_mean_1d",
            column="amount",
            function="mean",
            time_window=timedelta(days=1),
            slide_interval=timedelta(hours=1),
        ),
    ],
    tags={"headrace.quantum": "amount=0.01"},  # sums are exact, in cents
    owner="you@example.org",
)

customers = FeatureView(
    name="customers",
    entities=[customer],
    source=FileSource(
        name="customers_table",
        path=str(HERE / "data" / "customers.parquet"),
        timestamp_field="event_timestamp",
    ),
    schema=[
        Field(name="customer", dtype=String),
        Field(name="years", dtype=Int64),
        Field(name="vip", dtype=Bool),
    ],
    ttl=timedelta(0),
    owner="you@example.org",
)

customer_features = FeatureService(name="customer_features", features=[customer_orders, customers])
