"""In the shape of feast-dev/feast-denormalized-tutorial: sources and views are made in a loop.

Views have names in the module, without which `feast apply` does not see them. Tables have none, and are found
by the place of the file; names of features begin with a digit.
"""

from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource
from feast import types as feast_types
from feast.value_type import ValueType

account = Entity(name="account", value_type=ValueType.STRING, join_keys=["account_id"], description="")

tables = []
pushes = []
views = []
for minutes in [1, 15]:
    table = FileSource(
        path=str(Path(__file__).parent / f"./data/logins_{minutes}.parquet"), timestamp_field="timestamp"
    )
    tables.append(table)
    push = PushSource(name=f"logins_push_{minutes}", batch_source=table)
    pushes.append(push)
    view = FeatureView(
        name=f"logins_{minutes}m",
        entities=[account],
        schema=[
            Field(name="account_id", dtype=feast_types.String),
            Field(name=f"{minutes}_failed", dtype=feast_types.Int32),
            Field(name=f"{minutes}_ratio", dtype=feast_types.Float32),
        ],
        source=push,
        online=True,
    )
    views.append(view)
    globals()[f"logins_{minutes}m"] = view

login_service = FeatureService(
    name="login_service", features=views, description="Failed logins of an account"
)
everything = [account, login_service, *tables, *pushes, *views]
