"""Avro in Confluent wire format: columnar decoding, with fastavro as reference and fallback."""

from schemas.avro.columns import Column, Decoded
from schemas.avro.decoder import AvroDecoder
from schemas.avro.encode import ConfluentEncoder, encode_confluent
from schemas.avro.schema import schema_fingerprint

__all__ = ["AvroDecoder", "Column", "ConfluentEncoder", "Decoded", "encode_confluent", "schema_fingerprint"]
