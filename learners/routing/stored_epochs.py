"""The state of a router's epochs as the changelog has it, checked as it is read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from headrace.learners.routing.propensities import propensity_fault
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import RouterSpec

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Offset = Annotated[int, Field(ge=0, lt=1 << 63)]
_Refresh = Annotated[int, Field(ge=EARLIEST_MS, le=LATEST_MS)]  # of at least a millisecond
_Gathered = dict[str, tuple[_Weight, _Finite, _Weight]]  # by arm: count, total, squares


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class StoredPartition(_Stored):
    """One partition of the closings topic."""

    offset: _Offset
    refresh: _Refresh | None
    ended: _Offset
    gathered: _Gathered
    closed: list[tuple[_Refresh, _Offset, _Gathered]]


class StoredEpochs(_Stored):
    """What `EpochKeeper.to_json` encodes, besides its version.

    Attributes
    ----------
    rules
        What the epochs follow from besides the closings.
    era
        How often they have begun anew, under other rules.
    refresh
        The refresh of the newest evidence.
    epoch
        The newest epoch.
    evidence
        By arm.
    partitions
        Of the closings topic.
    """

    rules: dict[str, Any]
    era: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    refresh: _Refresh | None
    epoch: Epoch
    evidence: _Gathered
    partitions: list[StoredPartition]

    def check(self, router: RouterSpec) -> None:
        """Raise `ValueError` unless this is of a router with these arms, and its epoch can be in force."""
        if self.epoch.router != router.name or not 0 <= self.epoch.epoch < 1 << 63:
            raise ValueError(f"its epoch is {self.epoch.epoch} of router {self.epoch.router!r}")
        if self.evidence.keys() != set(router.arms) or self.epoch.propensities.keys() != set(router.arms):
            raise ValueError("it is not of the arms of its rules")
        if fault := propensity_fault(self.epoch.propensities):
            raise ValueError(fault)
