"""In the shape of ntkathole/banking-feature-store: definitions in a package of the repository.

Entities, tables and services are beside the package. Objects and fields are described and tagged at length, a
view is of two entities, and no version of keys is given.
"""

from feast import Entity
from feast.value_type import ValueType

patient = Entity(
    name="patient",
    join_keys=["patient_id"],
    value_type=ValueType.STRING,
    description="Whoever was admitted once; all wards",
    tags={"team": "shared", "pii": "true", "retention": "10y", "owner": "data@example.org"},
)
ward = Entity(name="ward", join_keys=["ward_id"], value_type=ValueType.STRING, tags={"pii": "false"})
