"""In the shape of feast-dev/feast-workshop, module 1: tables, entities, views and services in own files.

Files take all names of another, a table is found by the working directory, the registry is a database, keys
are of version 2, and a view is on a push source.
"""

import os

from feast import FileSource, PushSource

shifts = FileSource(
    name="shifts",
    path=f"{os.getcwd()}/data/shifts.parquet",
    timestamp_field="ended_at",
    created_timestamp_column="written_at",
    description="One row for each shift of a courier",
    owner="dispatch@example.org",
)
live_shifts = PushSource(name="live_shifts", batch_source=shifts)
