from datetime import timedelta

from feast import FileSource, KafkaSource
from feast.data_format import JsonFormat

TOPIC = "meters.readings"

readings_table = FileSource(name="readings_table", path="data/readings.parquet", timestamp_field="read_at")
houses_table = FileSource(
    name="houses_table",
    path="data/houses.parquet",
    timestamp_field="known_at",
    created_timestamp_column="created",
)
readings = KafkaSource(
    name="readings",
    kafka_bootstrap_servers="broker-1:9092",
    topic=TOPIC,
    timestamp_field="read_at",
    batch_source=readings_table,
    message_format=JsonFormat(
        schema_json="meter_id integer, read_at timestamp, kwh double, phase string, tags array<string>"
    ),
    watermark_delay_threshold=timedelta(minutes=5),
    description="What a meter tells every quarter of an hour",
)
