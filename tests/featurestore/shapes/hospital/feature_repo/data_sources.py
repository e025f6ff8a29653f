from feast import FileSource
from feast.data_format import ParquetFormat

stays = FileSource(
    name="stays",
    path="data/stays.parquet",
    file_format=ParquetFormat(),
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
    description="Admissions, with ward and outcome",
    tags={"refresh": "daily"},
)
