"""Stream views as a router reads them: under which name, and by which fields of its requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.schemas.feature_specs import FeatureRef, StreamViewSpec
from headrace.schemas.plan import Plan


@dataclass(frozen=True)
class ReadView:
    """A stream view that is read.

    Attributes
    ----------
    spec
        The view.
    name
        Its name in features and provenance of predictions.
    keys
        Fields of the entities of a prediction, one for each join key of the view.
    """

    spec: StreamViewSpec
    name: str
    keys: tuple[str, ...]

    @classmethod
    def of(cls, spec: StreamViewSpec, ref: FeatureRef | None = None) -> ReadView:
        """Return a view as a feature of it is read; as it is defined without one."""
        keys = spec.join_keys if ref is None else ref.request_keys(spec.join_keys)
        return cls(spec, spec.name if ref is None else ref.view_name, tuple(key.name for key in keys))


def read_views(plan: Plan, refs: Iterable[FeatureRef]) -> list[ReadView]:
    """List the stream views behind features, each once for every name that it is read by."""
    stream = {view.name: view for view in plan.stream_views}
    read = {ref.view_name: ref for ref in plan.stored(refs) if ref.view in stream}
    return [ReadView.of(stream[ref.view], ref) for ref in read.values()]
