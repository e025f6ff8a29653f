"""Names that have to be apart: of what is read together, of columns of the log, of fields in Redis."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.redis_codec.layout import feature_field
from headrace.schemas.feature_names import LOG_COLUMNS, name_clash
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, OnDemandViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan

_REMEDY = "Rename one of the two"


def check_apart(definition: Definition, plan: Plan, refs: Iterable[FeatureRef]) -> None:
    """Refuse two features, join keys or request fields of one name; see `name_clash`.

    Parameters
    ----------
    definition
        What reads the features, for its errors.
    plan
        Has the views.

    Raises
    ------
    CannotRun
        Names the two.
    """
    if (clash := name_clash(plan, refs)) is not None:
        raise definition.cannot_run(clash, _REMEDY)


def check_inputs_apart(definition: Definition, plan: Plan, view: OnDemandViewSpec) -> None:
    """Refuse two inputs of an on-demand view that its function would have under one name.

    Raises
    ------
    CannotRun
        Names the two.
    """
    with_view = plan.model_copy(update={"on_demand_views": (view,)})
    check_apart(definition, with_view, [FeatureRef(view=view.name, feature=f.name) for f in view.features])


def check_columns_apart(definition: Definition, view: StreamViewSpec) -> None:
    """Refuse a join key or feature of a stream view that has the name of another column of the feature log.

    Raises
    ------
    CannotRun
        Names it.
    """
    for kind, names in (("join key", view.join_keys), ("feature", view.features)):
        for field in names:
            if field.name in LOG_COLUMNS:
                raise definition.part(f"{kind} '{field.name}'").cannot_run(
                    "it is called as a column of the feature log is", "Give it another name"
                )


class HashFields:
    """The fields that features have in Redis: four bytes, which two names of an entity may share."""

    def __init__(self) -> None:
        self._owners: dict[tuple[frozenset[str], bytes], str] = {}

    def check(self, definition: Definition, view: StreamViewSpec | BatchViewSpec) -> None:
        """Refuse a feature whose field another feature of the same entity has.

        Raises
        ------
        CannotRun
            Names the two.
        """
        keys = frozenset(key.name for key in view.join_keys)
        own: dict[tuple[frozenset[str], bytes], str] = {}
        for feature in view.features:
            place = keys, feature_field(view.name, feature.name)
            if (owner := self._owners.get(place, own.get(place))) is not None:
                raise definition.part(f"feature '{feature.name}'").cannot_run(
                    f"Feast keeps it and feature '{owner}' in one field of Redis", _REMEDY
                )
            own[place] = f"{view.name}:{feature.name}"
        self._owners |= own
