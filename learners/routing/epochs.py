"""Epochs from closings: evidence is gathered per refresh, and new propensities follow at each boundary."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from headrace.learners.routing.changed_arms import capped, of_arms
from headrace.learners.routing.gathered import GatheringPartition, dump, load
from headrace.learners.routing.policies import policy_of
from headrace.learners.routing.posteriors import Evidence
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.routing.rewards import rewards
from headrace.learners.routing.stored_epochs import StoredEpochs, StoredPredecessor
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.follows_from import epoch_rules, evidence_rules
from headrace.schemas.records import Closing, Epoch
from headrace.schemas.router_specs import RouterSpec

_log = logging.getLogger(__name__)

_Posteriors = dict[str, dict[str, float]]  # by arm, the parameters by name

REMEDY = (
    "run the trainer of that version, or stop all trainers and run `headrace retrain`, to have models and "
    "epochs learned anew"
)
STATE = Encoding(
    version=3,
    older=(UNVERSIONED, 1, 2),  # without an era; without newcomers and predecessor
    remedy=REMEDY,
)


class EpochKeeper:
    """Turns the closings of a router into its epochs, a pure function of the topic's prefix.

    The clock of a partition is the greatest event time of a time mark or closing in it. Rewards between two
    multiples of `refresh_ms` become evidence once every partition has passed the second one. The order in
    which partitions are interleaved makes no difference. A refresh without rewards brings no new epoch, only
    its discount.

    Where arms, or how the policy makes propensities of evidence, have changed, the evidence stays, and the
    next epoch follows from it. Where the evidence itself follows from other rules, it is gathered anew from
    offset 0; until as many closings are read, the epoch of the rules before stays in force.

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
        The newest epoch of these rules.
    era
        How often evidence has been gathered anew, under other rules.

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
        self._partitions = [GatheringPartition() for _ in range(partitions)]
        self._evidence = {arm: Evidence() for arm in router.arms}
        self._refresh: int | None = None  # of the newest evidence
        self._newcomers: tuple[str, ...] = ()
        self._predecessor: StoredPredecessor | None = None
        self.current = initial_epoch(router, plan_hash)
        self.era = 0

    @property
    def in_force(self) -> tuple[Epoch, int]:
        """The epoch to put in force, and its era; of the rules before until as many closings are read."""
        if self._predecessor is None or self._has_reached(self._predecessor.offsets):
            return self.current, self.era
        return self._predecessor.epoch, self._predecessor.era

    def _has_reached(self, offsets: Sequence[int]) -> bool:
        pairs = zip(self._partitions, offsets, strict=False)  # of partitions that are there
        return all(partition.offset >= offset for partition, offset in pairs)

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
        self._newcomers = self._without_evidence(self._newcomers)
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
            propensities = capped(self._policy.propensities(self._evidence), self._newcomers, self._router)
            posteriors = self._policy.posteriors(self._evidence)
            fault = propensity_fault(propensities)
        except Exception as error:  # the closings that it follows from come again at every start
            propensities, posteriors, fault = {}, {}, f"{type(error).__name__}: {error}"
        if fault is not None:
            _log.error("router '%s': no epoch follows from its evidence: %s", self._router.name, fault)
            return None
        return self._epoch(self.current.epoch + 1, ts_ms, offset, propensities, posteriors)

    def _epoch(
        self, number: int, ts_ms: int, offset: int, propensities: dict[str, float], posteriors: _Posteriors
    ) -> Epoch:
        return Epoch(
            router=self._router.name,
            epoch=number,
            ts_ms=ts_ms,
            offset=offset,
            propensities=propensities,
            posteriors=posteriors,
            plan_hash=self._plan_hash,
        )

    def _without_evidence(self, arms: Sequence[str]) -> tuple[str, ...]:
        return tuple(arm for arm in arms if not self._evidence[arm].count)

    def to_json(self) -> str:
        """Encode everything needed to go on; see `restore`."""
        return json.dumps(
            {
                **STATE.stamp(),
                "rules": epoch_rules(self._router),
                "era": self.era,
                "refresh": self._refresh,
                "epoch": self.current.model_dump(),
                "evidence": dump(self._evidence),
                "newcomers": self._newcomers,
                "predecessor": None if self._predecessor is None else self._predecessor.model_dump(),
                "partitions": [partition.dump() for partition in self._partitions],
            }
        )

    def restore(self, text: str) -> bool:
        """Take over the state that `to_json` encoded.

        Returns
        -------
        bool
            False when the state was written under other rules: another policy, other arms, another number of
            partitions. Then the current epoch is a new one, and is to be published.

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
            stored.check(self._router)
            same_evidence = self._has_evidence_of(stored)
        if not same_evidence:
            self._begin_anew(stored)
            return False
        self._take_evidence(stored)
        if stored.rules == epoch_rules(self._router):
            self.current, self._newcomers = stored.epoch, tuple(stored.newcomers)
            return True
        self._change_policy(stored)
        return False

    def _has_evidence_of(self, stored: StoredEpochs) -> bool:
        """Whether these rules make the same evidence of closings as those of a state."""
        rules = evidence_rules(epoch_rules(self._router))
        return evidence_rules(stored.rules) == rules and len(stored.partitions) == len(self._partitions)

    def succeed(self, last: Epoch, offsets: Sequence[int]) -> None:
        """Go on behind an epoch whose evidence is lost: it stays in force until the closings so far are read.

        Parameters
        ----------
        offsets
            By partition, the end of the closings so far.
        """
        self._follow(StoredPredecessor(epoch=last, era=0, offsets=[*offsets]), last.epoch, 1)

    def _begin_anew(self, stored: StoredEpochs) -> None:
        """Gather evidence from offset 0, behind the epoch in force."""
        offsets = [partition.offset for partition in stored.partitions]
        before = StoredPredecessor(epoch=stored.epoch, era=stored.era, offsets=offsets)
        if (unreached := stored.predecessor) is not None and not stored.has_reached(unreached.offsets):
            before = unreached
        self._follow(before, stored.epoch.epoch, stored.era + 1)

    def _follow(self, before: StoredPredecessor, number: int, era: int) -> None:
        """Begin an era behind an epoch, which stays in force, unless these rules need no closings."""
        initial = initial_epoch(self._router, self._plan_hash)
        self.current, self.era = initial.model_copy(update={"epoch": number + 1}), era
        self._predecessor = None if self._router.policy.kind == "fixed" else before

    def _take_evidence(self, stored: StoredEpochs) -> None:
        self.era, self._refresh = stored.era, stored.refresh
        self._predecessor = stored.predecessor
        self._evidence = {arm: Evidence() for arm in self._router.arms} | load(stored.evidence)
        self._partitions = [GatheringPartition.load(partition) for partition in stored.partitions]

    def _change_policy(self, stored: StoredEpochs) -> None:
        """Make the next epoch of the evidence that is there, for other arms or by another policy."""
        before, router = stored.epoch, self._router
        added = [arm for arm in router.arms if arm in stored.newcomers or arm not in before.propensities]
        self._newcomers = self._without_evidence(added)
        propensities = of_arms(before.propensities, router)
        posteriors = {arm: before.posteriors[arm] for arm in router.arms if arm in before.posteriors}
        if stored.rules["policy"] != epoch_rules(router)["policy"]:
            is_known = any(self._evidence[arm].count for arm in router.arms)
            self.current = before
            decided = self._next_epoch(before.ts_ms, before.offset) if is_known else None
            propensities = decided.propensities if decided else self._policy.initial()
            posteriors = decided.posteriors if decided else {}
        number, offset = before.epoch + 1, before.offset
        self.current = self._epoch(number, before.ts_ms, offset, propensities, posteriors)


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
