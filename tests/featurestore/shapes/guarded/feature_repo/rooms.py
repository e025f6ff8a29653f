"""In the shape of the examples rbac and operator-rbac of feast-dev/feast: permissions for roles and teams."""

from feast import BatchFeatureView, Entity, FeatureService, FeatureView, Field, FileSource
from feast.feast_object import ALL_RESOURCE_TYPES
from feast.permissions.action import ALL_ACTIONS, READ, AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.types import Float64, Int64
from feast.value_type import ValueType

room = Entity(name="room", join_keys=["room_id"], value_type=ValueType.INT64)
climate_table = FileSource(name="climate_table", path="data/climate.parquet", timestamp_field="at")
climate = BatchFeatureView(
    name="climate",
    mode="python",
    entities=[room],
    schema=[Field(name="humidity", dtype=Float64), Field(name="people", dtype=Int64)],
    source=climate_table,
    online=True,
)
archive = FeatureView(
    name="archive",
    entities=[room],
    schema=[Field(name="people", dtype=Int64)],
    source=climate_table,
    online=False,
)
shown = FeatureService(name="shown", features=[climate])
studied = FeatureService(name="studied", features=[archive])

admins = Permission(
    name="admins", types=ALL_RESOURCE_TYPES, policy=RoleBasedPolicy(roles=["admin"]), actions=ALL_ACTIONS
)
readers = Permission(
    name="readers",
    types=[FeatureView, FeatureService],
    name_patterns=["climate.*"],
    policy=RoleBasedPolicy(roles=["reader"]),
    actions=[AuthzedAction.DESCRIBE, *READ],
)
