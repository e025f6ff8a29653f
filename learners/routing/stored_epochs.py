"""The state of a router's epochs as the changelog has it, checked as it is read."""

from __future__ import annotations

from collections.abc import Sequence
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


class StoredPredecessor(_Stored):
    """The epoch of other rules that is in force until as many closings are read by these.

    Attributes
    ----------
    era
        Of that epoch.
    offsets
        By partition of the closings topic, the prefix to read.
    """

    epoch: Epoch
    era: Annotated[int, Field(ge=0, lt=1 << 31)]
    offsets: list[_Offset]


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
        By arm, also of arms that the router had before.
    newcomers
        Arms that were added to a running router, and have no evidence yet.
    predecessor
        The epoch of other rules that is in force; None: that of these is.
    partitions
        Of the closings topic.
    """

    rules: dict[str, Any]
    era: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    refresh: _Refresh | None
    epoch: Epoch
    evidence: _Gathered
    newcomers: list[str] = []
    predecessor: StoredPredecessor | None = None
    partitions: list[StoredPartition]

    def has_reached(self, offsets: Sequence[int]) -> bool:
        """Whether a prefix, by partition, has been read."""
        return all(part.offset >= offset for part, offset in zip(self.partitions, offsets, strict=False))

    def check(self, router: RouterSpec) -> None:
        """Raise `ValueError` unless this is of this router, of the arms of its rules, and can be in force."""
        arms = {*self.rules["arms"]}
        if not arms <= self.evidence.keys() or self.epoch.propensities.keys() != arms:
            raise ValueError("it is not of the arms of its rules")
        for epoch in (self.epoch, *((self.predecessor.epoch,) if self.predecessor else ())):
            if epoch.router != router.name or not 0 <= epoch.epoch < 1 << 63:
                raise ValueError(f"its epoch is {epoch.epoch} of router {epoch.router!r}")
            if fault := propensity_fault(epoch.propensities):
                raise ValueError(fault)
