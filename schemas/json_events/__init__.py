"""Events in JSON with a declared schema, decoded to the same columns as Avro's."""
