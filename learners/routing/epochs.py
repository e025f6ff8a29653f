"""From closings to epochs: evidence gathered per refresh, a propensity vector at each boundary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from headrace.learners.routing.policies import policy_of
from headrace.learners.routing.posteriors import Evidence
from headrace.learners.routing.rewards import rewards
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.records import Closing, Epoch
from headrace.schemas.router_specs import PolicySpec, RouterSpec

Gathered = dict[str, Evidence]
STATE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="run the trainer of that version, or remove the file: the epochs are then computed anew",
)


@dataclass
class _Partition:
    """A partition of the closings topic: its clock, in refreshes, and what it gathered in each.

    `closed` maps a refresh that is over to (offset where it ended, evidence); `ended` is where the last one
    ended that has become evidence.
    """

    offset: int = 0
    refresh: int | None = None
    ended: int = 0
    gathered: Gathered = field(default_factory=dict)
    closed: dict[int, tuple[int, Gathered]] = field(default_factory=dict)

    def advance(self, offset: int, refresh: int) -> None:
        if self.refresh is not None and refresh > self.refresh:
            self.closed[self.refresh] = (offset, self.gathered)
            self.gathered = {}
        self.refresh = refresh if self.refresh is None else max(refresh, self.refresh)

    def pop(self, refresh: int) -> Gathered:
        self.ended, gathered = self.closed.pop(refresh, (self.ended, {}))
        return gathered


class EpochKeeper:
    """Turns the closings of a router into its epochs, a pure function of the topic's prefix.

    The clock of a partition is the greatest time of a mark or closing in it. What is gathered between two
    multiples of `refresh_ms` becomes evidence once every partition has passed the second one; how the
    partitions were interleaved in reading makes no difference. A refresh without evidence brings no new
    epoch, only its discount.

    Parameters
    ----------
    partitions
        Number of partitions of the closings topic.
    """

    def __init__(self, router: RouterSpec, plan_hash: str, partitions: int) -> None:
        self._router = router
        self._policy = policy_of(router.policy, router.arms)
        self._plan_hash = plan_hash
        self._partitions = [_Partition() for _ in range(partitions)]
        self._evidence = {arm: Evidence() for arm in router.arms}
        self._refresh: int | None = None  # of the newest evidence
        self.current = initial_epoch(router, plan_hash)

    def offset(self, partition: int) -> int:
        """The next offset to read."""
        return self._partitions[partition].offset

    def take(self, partition: int, offset: int, closing: Closing) -> list[Epoch]:
        """Count a closing in; returns the epochs that have become complete, usually none."""
        if offset < self._partitions[partition].offset:
            return []
        epochs = self.mark(partition, offset, closing.prediction.ts_ms + self._router.wait_ms)
        gathered = self._partitions[partition].gathered
        for arm, reward in rewards(self._router, closing).items():
            gathered[arm] = gathered.get(arm, Evidence()).add(reward)
        return epochs

    def mark(self, partition: int, offset: int, time_ms: int) -> list[Epoch]:
        """Take note that event time has reached `time_ms` in a partition."""
        part = self._partitions[partition]
        if offset < part.offset:
            return []
        part.offset = offset + 1
        part.advance(offset, time_ms // self._router.refresh_ms)
        return self._complete()

    def reach(self, partition: int, offset: int) -> None:
        """There is no closing left before `offset`."""
        self._partitions[partition].offset = max(self._partitions[partition].offset, offset)

    def _complete(self) -> list[Epoch]:
        clocks = [part.refresh for part in self._partitions]
        if any(clock is None for clock in clocks):
            return []
        reached = min(clock for clock in clocks if clock is not None)
        over = sorted({n for part in self._partitions for n in part.closed if n < reached})
        return [epoch for refresh in over for epoch in self._close(refresh)]

    def _close(self, refresh: int) -> list[Epoch]:
        gathered = [part.pop(refresh) for part in self._partitions]
        if not any(gathered):
            return []
        steps = 0 if self._refresh is None else refresh - self._refresh
        for arm, evidence in self._evidence.items():
            evidence = evidence.discounted(self._policy.discount**steps)
            for found in gathered:
                evidence = evidence.merge(found.get(arm, Evidence()))
            self._evidence[arm] = evidence
        self._refresh = refresh
        offset = sum(part.ended for part in self._partitions)
        self.current = self._next_epoch((refresh + 1) * self._router.refresh_ms, offset)
        return [self.current]

    def _next_epoch(self, ts_ms: int, offset: int) -> Epoch:
        return Epoch(
            router=self._router.name,
            epoch=self.current.epoch + 1,
            ts_ms=ts_ms,
            offset=offset,
            propensities=self._policy.propensities(self._evidence),
            posteriors=self._policy.posteriors(self._evidence),
            plan_hash=self._plan_hash,
        )

    def to_json(self) -> str:
        """Everything needed to go on."""
        return json.dumps(
            {
                **STATE.stamp(),
                "rules": _rules(self._router),
                "refresh": self._refresh,
                "epoch": self.current.model_dump(),
                "evidence": _dump(self._evidence),
                "partitions": [
                    {
                        "offset": part.offset,
                        "refresh": part.refresh,
                        "ended": part.ended,
                        "gathered": _dump(part.gathered),
                        "closed": [[n, end, _dump(found)] for n, (end, found) in part.closed.items()],
                    }
                    for part in self._partitions
                ],
            }
        )

    def restore(self, text: str) -> bool:
        """Go on from `to_json`; False, and nothing done, when it was written under other rules.

        Raises
        ------
        StateError
            When it has a version that is not read.
        """
        raw = json.loads(text)
        STATE.check(raw, f"the file of the epochs of router '{self._router.name}'")
        if raw["rules"] != _rules(self._router) or len(raw["partitions"]) != len(self._partitions):
            return False
        self._refresh = raw["refresh"]
        self.current = Epoch(**raw["epoch"])
        self._evidence = _load(raw["evidence"])
        self._partitions = [
            _Partition(
                part["offset"],
                part["refresh"],
                part["ended"],
                _load(part["gathered"]),
                {n: (end, _load(found)) for n, end, found in part["closed"]},
            )
            for part in raw["partitions"]
        ]
        return True


def initial_epoch(router: RouterSpec, plan_hash: str) -> Epoch:
    """Epoch 0, before any evidence."""
    vector = policy_of(router.policy, router.arms).initial()
    return Epoch(
        router=router.name,
        epoch=0,
        ts_ms=0,
        offset=0,
        propensities=vector,
        posteriors={},
        plan_hash=plan_hash,
    )


def _rules(router: RouterSpec) -> dict[str, Any]:
    """What the epochs follow from besides the closings; another policy begins anew at offset 0."""
    policy: PolicySpec = router.policy
    return {
        "arms": list(router.arms),
        "policy": policy.model_dump(mode="json"),
        "refresh_ms": router.refresh_ms,
        "wait_ms": router.wait_ms,
        "reward": router.reward,
        "feedback": router.feedback,
    }


def _dump(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    return {arm: astuple(found) for arm, found in evidence.items()}


def _load(raw: Mapping[str, Any]) -> Gathered:
    return {arm: Evidence(*found) for arm, found in raw.items()}
