"""A reader of a scene's rows while it runs, through the SDK: what was read is compared with the oracle.

Each answer names the log prefix that it follows from. It must be the oracle's row of just that prefix, and no
later answer for that key may be of an earlier one.
"""

from __future__ import annotations

import bisect
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from headrace import FeatureClient
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.streams.log.reader import read_log
from tests.support.expected_rows import is_empty, oracle_features, rules_of, same
from tests.support.watching import Watching
from tests.support.window_oracle import features_at, judge
from tests.support.worker_scene import PARTITIONS, SHOPS, USERS, Scene

_ENTITIES = 8  # of each view, at a look
# No window of the scene's views reaches further back in a partition than so many accepted records.
_REACH = 1500


class Answer(NamedTuple):
    view: str
    key: tuple[Any, ...]
    partition: int
    offset: int
    as_of_ms: int
    values: Mapping[str, Any]

    @property
    def position(self) -> tuple[int, int]:
        return self.offset, self.as_of_ms


class SampledRows(Watching):
    """Reads rows of random keys, again and again, within its block.

    Attributes
    ----------
    answers
        How many rows were read.
    kept
        A random choice of them, of all that were read before as likely as of the last.
    went_back
        Pairs of answers for one key, the later one of an earlier prefix.
    changed
        Pairs of answers for one key and prefix with other values.
    """

    def __init__(self, scene: Scene, seed: int, keep: int = 3000) -> None:
        super().__init__()
        self._client = FeatureClient(scene.plan, scene.redis_url)
        self._scene, self._rng, self._keep = scene, random.Random(seed), keep
        self._seen: dict[tuple[str, tuple[Any, ...]], Answer] = {}
        self.answers = 0
        self.kept: list[Answer] = []
        self.went_back: list[tuple[Answer, Answer]] = []
        self.changed: list[tuple[Answer, Answer]] = []

    def assert_right(self) -> None:
        """Compare what was kept with the oracle; call it when the block has ended."""
        assert self.went_back == []
        assert self.changed == []
        assert self.kept
        oracle = _PrefixOracle(self._scene)
        wrong = [(answer, want) for answer in self.kept if (want := oracle.difference(answer))]
        assert wrong == [], f"{len(wrong)} of {len(self.kept)} rows that were read while it ran"

    def look(self) -> None:
        for view in self._scene.plan.stream_views:
            try:
                answers = list(self._read(view))
            except HeadraceError:  # Redis is away for a moment: that is the test's doing
                continue
            for answer in answers:
                self._judge(answer)

    def _read(self, view: StreamViewSpec) -> Iterator[Answer]:
        names = [key.name for key in view.join_keys]
        entities = [self._entity(names) for _ in range(_ENTITIES)]
        response = self._client.get_online_features(
            [f"{view.name}:{f.name}" for f in view.features], entities
        )
        for row, provenance in enumerate(response.provenance[view.name]):
            if provenance is not None:
                values = {f.name: response.columns[f"{view.name}__{f.name}"][row] for f in view.features}
                key = tuple(entities[row][name] for name in names)
                yield Answer(view.name, key, *provenance, values)

    def _entity(self, names: Sequence[str]) -> dict[str, Any]:
        keys = {
            "user": self._rng.randrange(USERS * PARTITIONS),
            "shop": f"shop-{self._rng.randrange(SHOPS)}",
        }
        return {name: keys[name] for name in names}

    def _judge(self, answer: Answer) -> None:
        before = self._seen.get((answer.view, answer.key))
        self._seen[answer.view, answer.key] = answer
        self.answers += 1
        if before is not None and answer.position < before.position:
            self.went_back.append((before, answer))
        if before is not None and answer.position == before.position and before.values != answer.values:
            self.changed.append((before, answer))
        if before is None or answer.position != before.position:
            self._choose(answer)

    def _choose(self, answer: Answer) -> None:
        """Reservoir sampling."""
        if len(self.kept) < self._keep:
            self.kept.append(answer)
        elif (place := self._rng.randrange(self.answers)) < self._keep:
            self.kept[place] = answer


class _PrefixOracle:
    """The oracle's row of a key as of any prefix."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        judged = [judge(log, rules_of(scene.plan, scene.udfs)) for log in scene.logs]
        self._accepted = [
            [(t, (offset, p), fields) for t, offset, fields in one.accepted] for p, one in enumerate(judged)
        ]
        self._offsets = [[order[0] for _, order, _ in accepted] for accepted in self._accepted]
        self._features = {v.name: oracle_features(scene.plan, v.name) for v in scene.plan.stream_views}
        self._join_keys = {v.name: tuple(k.name for k in v.join_keys) for v in scene.plan.stream_views}
        self._blocks = [_source_prefixes(scene, shard) for shard in range(scene.plan.sources[0].shards)]

    def difference(self, answer: Answer) -> Mapping[str, Any]:
        """What the oracle says of a row that it does not agree with; empty when it does."""
        join_keys = self._join_keys[answer.view]
        events = [
            event
            for partition, prefix in self._prefix(answer).items()
            for event in self._reach(partition, prefix)
            if tuple(event[2][name] for name in join_keys) == answer.key
        ]
        found = features_at(events, answer.as_of_ms, join_keys, self._features[answer.view])
        if not found:
            return {} if is_empty(answer.values) else {"expected": "nothing"}
        want = found[answer.key]
        return {name: value for name, value in want.items() if not same(answer.values[name], value)}

    def _prefix(self, answer: Answer) -> Mapping[int, int]:
        """Of which records of the event topic a row is: partition to end offset."""
        if answer.view == "by_user":
            return {answer.partition: answer.offset}
        ends, prefixes = self._blocks[answer.partition]
        at = bisect.bisect_left(ends, answer.offset)
        return prefixes[at - 1] if at else {}

    def _reach(self, partition: int, prefix: int) -> Sequence[tuple[int, tuple[int, int], dict[str, Any]]]:
        end = bisect.bisect_left(self._offsets[partition], prefix)
        return self._accepted[partition][max(0, end - _REACH) : end]


def _source_prefixes(scene: Scene, shard: int) -> tuple[list[int], list[Mapping[int, int]]]:
    """For each block of a shard: its offset, and what had been read of the event topic up to it."""
    topic = scene.plan.topics.source(scene.plan.sources[0].name).shuffle
    offsets, prefixes, ends = [], [], dict.fromkeys(range(PARTITIONS), 0)
    for message in read_log(scene.bootstrap, topic, shard):
        raw = message.value()
        header = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
        ends = {**ends, header["partition"]: max(ends[header["partition"]], header["next"])}
        offsets.append(message.offset())
        prefixes.append(ends)
    return offsets, prefixes
