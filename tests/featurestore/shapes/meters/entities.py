from feast import Entity, ValueType

meter = Entity(name="meter", join_keys=["meter_id"], value_type=ValueType.INT64)
