"""Push sources of a plan: what clients write rows to."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from headrace.schemas.names import FieldName, FolderName
from headrace.schemas.spec import Spec


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


class PushSourceSpec(Spec):
    """A push source. Its names are those of its batch source, as Feast reads pushed rows.

    Attributes
    ----------
    timestamp_field
        Column of the event time.
    views
        Names of the batch views that it feeds, sorted.
    field_mapping
        Columns that features and join keys may be pushed under, each with the name that it stands for.
    """

    name: FieldName
    timestamp_field: FieldName
    views: tuple[FolderName, ...]
    field_mapping: tuple[tuple[FieldName, FieldName], ...] = Field(default=(), exclude_if=_is_empty)

    def renamed(self, columns: Iterable[str]) -> dict[str, list[str]]:
        """Return the columns that stand for each name.

        >>> source = PushSourceSpec(name="p", timestamp_field="at", views=("v",), field_mapping=(("a", "b"),))
        >>> source.renamed(["a", "at"])
        {'b': ['a'], 'at': ['at']}
        """
        mapping = dict(self.field_mapping)
        found: dict[str, list[str]] = {}
        for column in columns:
            found.setdefault(mapping.get(column, column), []).append(column)
        return found

    @property
    def time_name(self) -> str:
        """The name that the column of the event time has once columns are renamed."""
        return dict(self.field_mapping).get(self.timestamp_field, self.timestamp_field)
