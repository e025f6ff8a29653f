"""The parts that a Feast repository contributes to a plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from headrace.featurestore.compile.differences import Differences
from headrace.featurestore.compile.gathering import errors_among
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.errors import DefinitionError, NotDefined, place
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureServiceSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.plan import DescriptionSpec, Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.schemas.router_specs import LearnerSpec, RouterSpec


@dataclass(frozen=True)
class FeatureParts:
    """Everything of a plan but learners and routers, and the repository as Feast read it.

    Each tuple of the plan is in order of names, so that the plan does not depend on the names of files.

    Attributes
    ----------
    left_out
        What Feast takes and Headrace does not run, with the reasons.
    differences
        What runs in another way than in Feast, by the `id` of Feast's object.
    """

    project: str
    sources: tuple[SourceSpec, ...]
    stream_views: tuple[StreamViewSpec, ...]
    batch_views: tuple[BatchViewSpec, ...]
    on_demand_views: tuple[OnDemandViewSpec, ...]
    services: tuple[FeatureServiceSpec, ...]
    expectations: tuple[ViewExpectationsSpec, ...]
    descriptions: tuple[DescriptionSpec, ...]
    repository: FeastRepository
    left_out: tuple[DefinitionError, ...] = ()
    differences: Differences = field(default_factory=dict)
    push_sources: tuple[PushSourceSpec, ...] = ()

    @property
    def errors(self) -> list[DefinitionError]:
        """What of `left_out` is an error, and not only left out.

        Where a file cannot be imported, what others miss may be in it, and is not told.
        """
        errors = errors_among(self.left_out)
        is_whole = not self.repository.errors
        return [error for error in errors if is_whole or not isinstance(error, NotDefined)]

    def plan(self, learners: Iterable[LearnerSpec] = (), routers: Iterable[RouterSpec] = ()) -> Plan:
        """Make the plan, with learners and routers."""
        return Plan(
            project=self.project,
            sources=self.sources,
            stream_views=self.stream_views,
            batch_views=self.batch_views,
            on_demand_views=self.on_demand_views,
            services=self.services,
            learners=tuple(learners),
            routers=tuple(routers),
            expectations=self.expectations,
            descriptions=self.descriptions,
            online=self.repository.online,
            push_sources=self.push_sources,
        )

    def place_of(self, kind: str, name: str) -> str:
        """Name file and line that define an object; the repository's folder when none does."""
        contents = self.repository.contents
        objects: dict[str, Iterable[Any]] = {
            "source": contents.data_sources,
            "push source": contents.data_sources,
            "stream feature view": contents.stream_feature_views,
            "feature view": contents.feature_views,
            "on demand feature view": contents.on_demand_feature_views,
            "feature service": contents.feature_services,
        }
        named = [item for item in objects.get(kind, ()) if item.name == name]
        return place(self.repository.file_of(*named), self.repository.line_of(*named))
