"""Avro in Confluent wire format: columnar decoding, with fastavro as reference and fallback."""

from headrace.schemas.avro.columns import Column, Decoded
from headrace.schemas.avro.decoder import AvroDecoder
from headrace.schemas.avro.encode import ConfluentEncoder, encode_confluent
from headrace.schemas.avro.schema import schema_fingerprint

__all__ = ["AvroDecoder", "Column", "ConfluentEncoder", "Decoded", "encode_confluent", "schema_fingerprint"]
