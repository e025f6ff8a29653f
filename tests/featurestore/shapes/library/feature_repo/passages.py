"""In the shape of the retrieval examples of feast-dev/feast (rag, rag-docling, agent_feature_store).

Fields are vectors to search by, texts, lists and maps; tables have no names; a function that makes vectors is
written to the online store; labels come from people.
"""

from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, LabelView, PushSource, RequestSource
from feast.data_format import ParquetFormat
from feast.labeling import ConflictPolicy
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Int64, Map, String, UnixTimestamp
from feast.value_type import ValueType

passage = Entity(name="passage_id", description="One passage of a book", value_type=ValueType.INT64)
reader = Entity(name="reader", join_keys=["reader"], value_type=ValueType.STRING)

texts = FileSource(
    file_format=ParquetFormat(), path="./data/passages.parquet", timestamp_field="event_timestamp"
)
read = FileSource(file_format=ParquetFormat(), path="data/readers.parquet", timestamp_field="event_timestamp")
query = RequestSource(name="query", schema=[Field(name="words", dtype=String)])

passages = FeatureView(
    name="passages",
    entities=[passage],
    schema=[
        Field(name="vector", dtype=Array(Float32), vector_index=True, vector_search_metric="COSINE"),
        Field(name="passage_id", dtype=Int64),
        Field(name="content", dtype=String),
        Field(name="topics", dtype=Array(String)),
        Field(name="event_timestamp", dtype=UnixTimestamp),
    ],
    source=texts,
    ttl=timedelta(days=7),
)
memory = FeatureView(
    name="memory",
    entities=[reader],
    schema=[Field(name="liked", dtype=Array(Int64)), Field(name="preferences", dtype=Map)],
    source=PushSource(name="memory_push", batch_source=read),
    ttl=timedelta(days=30),
)


@on_demand_feature_view(
    sources=[query],
    schema=[Field(name="vector", dtype=Array(Float32))],
    mode="python",
    singleton=True,
    write_to_online_store=True,
)
def embed(inputs: dict[str, Any]) -> dict[str, list[Any]]:
    return {"vector": [float(len(word)) for word in inputs["words"].split()]}


@on_demand_feature_view(
    sources=[passages[["content"]], query],
    schema=[Field(name="shared", dtype=Int64)],
    mode="python",
    singleton=True,
)
def overlap(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"shared": len(set((inputs["content"] or "").split()) & set(inputs["words"].split()))}


judgements = LabelView(
    name="judgements",
    entities=[passage],
    schema=[Field(name="relevant", dtype=Int64), Field(name="judge", dtype=String)],
    source=PushSource(
        name="judgements_push",
        batch_source=FileSource(
            name="judgements_table", path="data/judged.parquet", timestamp_field="event_timestamp"
        ),
    ),
    labeler_field="judge",
    conflict_policy=ConflictPolicy.LAST_WRITE_WINS,
)
answers = FeatureService(name="answers", features=[passages, overlap])
chat = FeatureService(name="chat", features=[memory, passages[["content"]]])
embedded = FeatureService(name="embedded", features=[passages, embed])
judged = FeatureService(name="judged", features=[passages, judgements])
