"""Epochs from closings: evidence is gathered per refresh, and new propensities follow at each boundary."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from headrace.learners.routing.policies import policy_of
from headrace.learners.routing.posteriors import Evidence
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.routing.rewards import rewards
from headrace.learners.routing.stored_epochs import StoredEpochs
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.follows_from import epoch_rules
from headrace.schemas.records import Closing, Epoch
from headrace.schemas.router_specs import RouterSpec

_log = logging.getLogger(__name__)

Gathered = dict[str, Evidence]
STATE = Encoding(
    version=2,
    older=(UNVERSIONED, 1),  # without an era
    remedy="run the trainer of that version, or stop all trainers, delete the topic train-changelog of the "
    "project and run `headrace apply`, to have models and epochs learned anew",
)


@dataclass
class _Partition:
    """One partition of the closings topic.

    Attributes
    ----------
    offset
        Next offset to read.
    refresh
        The refresh that the clock has reached: event time // `refresh_ms`; None before the first record.
    ended
        Offset where the last refresh ended that has become evidence.
    gathered
        Evidence by arm of the current refresh.
    closed
        A refresh that is over to the offset where it ended, and its evidence by arm.
    """

    offset: int = 0
    refresh: int | None = None
    ended: int = 0
    gathered: Gathered = field(default_factory=dict)
    closed: dict[int, tuple[int, Gathered]] = field(default_factory=dict)

    def advance(self, offset: int, refresh: int) -> None:
        """Move the clock forward, and close the refresh that it leaves."""
        if self.refresh is not None and refresh > self.refresh:
            self.closed[self.refresh] = (offset, self.gathered)
            self.gathered = {}
        self.refresh = refresh if self.refresh is None else max(refresh, self.refresh)

    def pop(self, refresh: int) -> Gathered:
        """Take the evidence of a refresh that is over; empty where nothing came in it."""
        self.ended, gathered = self.closed.pop(refresh, (self.ended, {}))
        return gathered


class EpochKeeper:
    """Turns the closings of a router into its epochs, a pure function of the topic's prefix.

    The clock of a partition is the greatest event time of a time mark or closing in it. Rewards between two
    multiples of `refresh_ms` become evidence once every partition has passed the second one. The order in
    which partitions are interleaved makes no difference. A refresh without rewards brings no new epoch, only
    its discount.

    Parameters
    ----------
    router
        Arms, policy, reward, `refresh_ms` and `wait_ms`.
    plan_hash
        Is written into the epochs.
    partitions
        Number of partitions of the closings topic.

    Attributes
    ----------
    current
        The newest epoch.
    era
        How often the epochs have begun anew, under other rules.

    Examples
    --------
    >>> from headrace.schemas.router_specs import PolicySpec
    >>> router = RouterSpec(
    ...     name="returns", arms=("tree", "logistic"), champion="tree", target="returned", unit="order",
    ...     entities=("customer",), request=("order",), outcome=None, wait_ms=60_000, policy=PolicySpec(),
    ...     refresh_ms=3_600_000, publish_ms=0, partitions=1, salt="", default=0.5,
    ... )
    >>> keeper = EpochKeeper(router, plan_hash="3f2a", partitions=1)
    >>> keeper.current.epoch, keeper.current.propensities
    (0, {'tree': 0.5, 'logistic': 0.5})
    >>> keeper.mark(0, offset=0, time_ms=7_200_000)
    []
    >>> keeper.offset(0)
    1
    """

    def __init__(self, router: RouterSpec, plan_hash: str, partitions: int) -> None:
        self._router = router
        self._policy = policy_of(router.policy, router.arms)
        self._plan_hash = plan_hash
        self._partitions = [_Partition() for _ in range(partitions)]
        self._evidence = {arm: Evidence() for arm in router.arms}
        self._refresh: int | None = None  # of the newest evidence
        self.current = initial_epoch(router, plan_hash)
        self.era = 0

    def offset(self, partition: int) -> int:
        """Return the next offset to read."""
        return self._partitions[partition].offset

    def take(self, partition: int, offset: int, closing: Closing) -> list[Epoch]:
        """Add the rewards of a closing, at ``ts_ms + wait_ms`` of its prediction.

        Returns
        -------
        list of Epoch
            Those that have become complete, usually none.

        Raises
        ------
        RecordError
            When a reward is none that a posterior can take; nothing has been added then.
        """
        if offset < self._partitions[partition].offset:
            return []
        earned = rewards(self._router, closing)
        epochs = self.mark(partition, offset, closing.prediction.ts_ms + self._router.wait_ms)
        gathered = self._partitions[partition].gathered
        for arm, reward in earned.items():
            gathered[arm] = gathered.get(arm, Evidence()).add(reward)
        return epochs

    def mark(self, partition: int, offset: int, time_ms: int) -> list[Epoch]:
        """Advance the clock of a partition to `time_ms`, epoch milliseconds.

        Returns
        -------
        list of Epoch
            Those that have become complete, usually none.
        """
        state = self._partitions[partition]
        if offset < state.offset:
            return []
        state.offset = offset + 1
        state.advance(offset, time_ms // self._router.refresh_ms)
        return self._complete()

    def reach(self, partition: int, offset: int) -> None:
        """Advance the next offset of a partition to `offset`: no closing is left before."""
        self._partitions[partition].offset = max(self._partitions[partition].offset, offset)

    def _complete(self) -> list[Epoch]:
        clocks = [partition.refresh for partition in self._partitions]
        if any(clock is None for clock in clocks):
            return []
        reached = min(clock for clock in clocks if clock is not None)
        over = sorted({n for partition in self._partitions for n in partition.closed if n < reached})
        return [epoch for refresh in over for epoch in self._close(refresh)]

    def _close(self, refresh: int) -> list[Epoch]:
        gathered = [partition.pop(refresh) for partition in self._partitions]
        if not any(gathered):
            return []
        steps = 0 if self._refresh is None else refresh - self._refresh
        for arm, evidence in self._evidence.items():
            evidence = evidence.discounted(self._policy.discount**steps)
            for by_arm in gathered:
                evidence = evidence.merge(by_arm.get(arm, Evidence()))
            self._evidence[arm] = evidence
        self._refresh = refresh
        offset = sum(partition.ended for partition in self._partitions)
        epoch = self._next_epoch((refresh + 1) * self._router.refresh_ms, offset)
        if epoch is None:
            return []
        self.current = epoch
        return [epoch]

    def _next_epoch(self, ts_ms: int, offset: int) -> Epoch | None:
        """Return the epoch of the evidence; None, and the one before stays, when it has no propensities."""
        try:
            propensities = self._policy.propensities(self._evidence)
            posteriors = self._policy.posteriors(self._evidence)
            fault = propensity_fault(propensities)
        except Exception as error:  # the closings that it follows from come again at every start
            propensities, posteriors, fault = {}, {}, f"{type(error).__name__}: {error}"
        if fault is not None:
            _log.error("router '%s': no epoch follows from its evidence: %s", self._router.name, fault)
            return None
        return Epoch(
            router=self._router.name,
            epoch=self.current.epoch + 1,
            ts_ms=ts_ms,
            offset=offset,
            propensities=propensities,
            posteriors=posteriors,
            plan_hash=self._plan_hash,
        )

    def to_json(self) -> str:
        """Encode everything needed to go on; see `restore`."""
        return json.dumps(
            {
                **STATE.stamp(),
                "rules": epoch_rules(self._router),
                "era": self.era,
                "refresh": self._refresh,
                "epoch": self.current.model_dump(),
                "evidence": _dump(self._evidence),
                "partitions": [
                    {
                        "offset": partition.offset,
                        "refresh": partition.refresh,
                        "ended": partition.ended,
                        "gathered": _dump(partition.gathered),
                        "closed": [
                            [refresh, end, _dump(gathered)]
                            for refresh, (end, gathered) in partition.closed.items()
                        ],
                    }
                    for partition in self._partitions
                ],
            }
        )

    def restore(self, text: str) -> bool:
        """Take over the state that `to_json` encoded.

        Returns
        -------
        bool
            False when the state was written under other rules: another policy, other arms, another number of
            partitions. Then a new era begins, at offset 0.

        Raises
        ------
        StateError
            When the state is damaged or has a version that is not read; nothing is taken over then.
        """
        what = f"the state of the epochs of router '{self._router.name}'"
        with STATE.reading(what):
            raw = json.loads(text)
            STATE.check(raw, what)
            stored = StoredEpochs.model_validate_json(text)
            if stored.rules != epoch_rules(self._router) or len(stored.partitions) != len(self._partitions):
                self.era = stored.era + 1
                return False
            stored.check(self._router)
        self.era, self._refresh, self.current = stored.era, stored.refresh, stored.epoch
        self._evidence = _load(stored.evidence)
        self._partitions = [
            _Partition(
                partition.offset,
                partition.refresh,
                partition.ended,
                _load(partition.gathered),
                {refresh: (end, _load(gathered)) for refresh, end, gathered in partition.closed},
            )
            for partition in stored.partitions
        ]
        return True


def initial_epoch(router: RouterSpec, plan_hash: str) -> Epoch:
    """Return epoch 0, before any evidence."""
    return Epoch(
        router=router.name,
        epoch=0,
        ts_ms=0,
        offset=0,
        propensities=policy_of(router.policy, router.arms).initial(),
        posteriors={},
        plan_hash=plan_hash,
    )


def _dump(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Encode count, total and squares by arm.

    >>> _dump({"tree": Evidence(10.0, 8.0, 7.5)})
    {'tree': (10.0, 8.0, 7.5)}
    """
    return {arm: astuple(statistics) for arm, statistics in evidence.items()}


def _load(raw: Mapping[str, tuple[float, float, float]]) -> Gathered:
    return {arm: Evidence(*statistics) for arm, statistics in raw.items()}
