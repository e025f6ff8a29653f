"""Push sources of a Feast repository to specifications of the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from feast.data_source import PushSource

from headrace.schemas.push_specs import PushSourceSpec


def pushed_views(views: Iterable[Any], served: Collection[str]) -> dict[str, list[Any]]:
    """Return Feast's views on each push source, by its name.

    Parameters
    ----------
    views
        Feast's objects.
    served
        Names of the views that are in the plan; the others are left out.
    """
    found: dict[str, list[Any]] = {}
    for view in sorted(views, key=lambda view: str(view.name)):
        if view.name in served and isinstance(view.stream_source, PushSource):
            found.setdefault(view.stream_source.name, []).append(view)
    return found


def compile_push_source(name: str, views: Iterable[Any]) -> PushSourceSpec:
    """Compile a push source. What the table of its views is called by, pushed rows are.

    Parameters
    ----------
    name
        Of the source.
    views
        Feast's views on it, one or more, with what is inferred from their table.
    """
    views = [*views]
    table = views[0].batch_source
    return PushSourceSpec(
        name=name,
        timestamp_field=table.timestamp_field,
        views=tuple(view.name for view in views),
        field_mapping=tuple(sorted((table.field_mapping or {}).items())),
    )
