"""Requests for features over HTTP, as clients of Feast's feature server send them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headrace.featurestore.field_status import FieldStatus
from headrace.schemas.errors import RequestError

MAX_VALUES = 200_000  # of an answer: so long others wait for it


class FeatureRequest(BaseModel):
    """Features of entities. What else a client sends is passed over, as Feast does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    entities: dict[str, list[Any]]
    feature_service: str | None = None
    features: list[str] = []
    full_feature_names: bool = False
    include_feature_view_version_metadata: bool = False

    @property
    def asked_for(self) -> str | list[str]:
        """The service, or else the features.

        Raises
        ------
        RequestError
            When neither is named, or versions are asked for.
        """
        if self.include_feature_view_version_metadata:
            field = "include_feature_view_version_metadata"
            raise RequestError(field, "features are served as the plan has them", "Leave it out")
        if not (self.feature_service or self.features):
            raise RequestError("features", "no feature is asked for", "Name features, or a feature_service")
        return self.feature_service or self.features

    @property
    def rows(self) -> int:
        """How many rows the entities have, at least."""
        return max(map(len, self.entities.values()), default=0)


class AnswerNames(BaseModel):
    feature_names: list[str] = Field(description="join keys, then features, in the order of the results")


class FeatureVector(BaseModel):
    """One join key or feature: a value, a status and an event time for each row."""

    values: list[Any]
    statuses: list[FieldStatus]
    event_timestamps: list[str] = Field(description="1970-01-01T00:00:00Z where a value has none")


class FeatureAnswer(BaseModel):
    metadata: AnswerNames
    results: list[FeatureVector]
