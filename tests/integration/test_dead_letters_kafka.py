"""Poison, future and late records through a running worker: listed, replayed, and the counts add up."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.deploy.commands.dead_letters import REPLAYED, DeadLetterLog, LoggedDeadLetter, Selection
from headrace.deploy.commands.replay import Replay, objection
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import DeliveryError
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.schemas.topics import RouterTopics
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.log.reader import read_log
from headrace.streams.producers.outbox import Deliveries, Outbox
from headrace.streams.progress import counts_key, progress_key
from tests.support.expected_rows import record_of
from tests.support.purchases import EVENT_SCHEMA
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent
from tests.support.worker_scene import Scene

NOON_MS = 1_700_000_000_000
MINUTE_MS = 60_000
ANY = Selection()


class Refusals:
    """A running worker, a producer of all that it refuses, and the command."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.plan = scene, scene.plan
        self.topic, self.source = self.plan.sources[0].topic, self.plan.sources[0]
        self.dead_letter_topic = self.plan.topics.dead_letters
        self._outbox = Outbox({"bootstrap.servers": scene.bootstrap, "message.max.bytes": 8 << 20})
        self._deliveries = Deliveries(self.topic)
        PlanStore(scene.redis, self.plan.project).save(self.plan)

    def send(self, *records: KafkaRecord) -> None:
        self._outbox.send(records, self._deliveries)
        self.settle()

    def settle(self) -> None:
        """Wait until the worker has seen the whole topic."""
        self._outbox.flush(self._deliveries)
        prefix = {partition: len(self.log(partition)) for partition in (0, 1)}
        self.scene.progress.wait(self.topic, prefix, timeout_s=PATIENCE_S)
        counted = self.counts()
        refused = counted["dead"] + counted["late"]
        # What is readable online may be so before the dead letters are.
        eventually(
            self._dead_letter_ids, f"the dead letters of {refused} records", lambda ids: len(ids) >= refused
        )

    def _dead_letter_ids(self) -> set[str]:
        return {one.dead_letter.id for late in (False, True) for one in self.find(late=late, replayed=True)}

    def log(self, partition: int) -> list[Message]:
        return list(read_log(self.scene.bootstrap, self.topic, partition))

    def dead_letters(self, *dead_letters: DeadLetter) -> None:
        """Dead letters as a worker writes them."""
        deliveries = Deliveries(self.dead_letter_topic)
        self._outbox.send(
            [KafkaRecord(one.to_bytes(), one.id.encode(), partition=0) for one in dead_letters], deliveries
        )
        self._outbox.flush(deliveries)

    def find(
        self, selection: Selection = ANY, late: bool = False, replayed: bool = False
    ) -> list[LoggedDeadLetter]:
        name = self.plan.topics.late if late else self.dead_letter_topic
        return list(DeadLetterLog(self.scene.bootstrap, name).find(selection, replayed))

    def counts(self) -> Counter[str]:
        stored: Any = self.scene.redis.hgetall(counts_key(self.plan.project))
        total: Counter[str] = Counter()
        for name, value in stored.items():
            if name.startswith(b"intake|"):
                total.update(json.loads(value))
        return total

    def assert_counts_add_up(self) -> None:
        counted, records = self.counts(), len(self.log(0)) + len(self.log(1))
        assert counted["applied"] + counted["late"] + counted["dead"] + counted["marks"] == records
        assert len({one.dead_letter.id for one in self.find(replayed=True)}) == counted["dead"]
        assert len(self.find(late=True, replayed=True)) == counted["late"]

    def command(self, *words: str, answer: str = "") -> str:
        environment = {
            "HEADRACE_KAFKA": self.scene.bootstrap, "HEADRACE_REDIS": self.scene.redis_url,
            "HEADRACE_PROJECT": self.plan.project,
        }  # fmt: skip
        done = CliRunner().invoke(app, ["dead-letters", *words], input=answer, env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done.output


def event(time_ms: int, partition: int = 0, appended_ms: int | None = None, **fields: Any) -> KafkaRecord:
    values = {"user": partition, "shop": "a", "event_ms": time_ms, "amount": 1.0, "items": 1, **fields}
    record = record_of(OracleEvent(0, appended_ms or time_ms, values))
    return KafkaRecord(
        record.value, b"a key", record.timestamp, [("trace", b"\x00\xff"), ("none", None)], partition
    )


def poison(partition: int = 0, value: bytes = b"not avro at all") -> KafkaRecord:
    return KafkaRecord(value, b"bad key", NOON_MS, [("trace", b"7")], partition)


def places(found: list[LoggedDeadLetter]) -> set[tuple[int, int]]:
    return {(one.dead_letter.partition, one.dead_letter.offset) for one in found}


@pytest.fixture
def refusals(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Refusals]:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    scene.start_worker()
    yield Refusals(scene)
    scene.stop()


def test_a_record_is_replayed_as_it_was_and_only_once(refusals: Refusals) -> None:
    refusals.send(event(NOON_MS), poison(0), poison(1, b"\x00\x00\x00\x00\x07"), event(NOON_MS + 1, 1))
    assert places(refusals.find()) == {(0, 1), (1, 0)}
    refusals.assert_counts_add_up()

    assert Replay(refusals.scene.bootstrap, refusals.dead_letter_topic).run(refusals.find()) == 2
    refusals.settle()
    before, again = refusals.log(0)[1], refusals.log(0)[2]
    assert (again.key(), again.value(), again.timestamp()) == (
        before.key(),
        before.value(),
        before.timestamp(),
    )
    assert again.headers() == [*before.headers(), (REPLAYED, f"{refusals.topic}/0/1".encode())]
    refusals.assert_counts_add_up()

    # As bad as it was: two new dead letters, of the records that were sent again. The old ones are done with.
    assert places(refusals.find()) == {(0, 2), (1, 2)}
    done = {one.replayed for one in refusals.find(replayed=True) if one.replayed}
    assert done == {f"{refusals.topic}[0]@2", f"{refusals.topic}[1]@2"}
    assert refusals.counts() == Counter(applied=2, dead=4, late=0, marks=0)


def test_what_was_too_early_is_accepted_by_and_by(refusals: Refusals) -> None:
    early = NOON_MS + MINUTE_MS
    mark = KafkaRecord(None, None, NOON_MS, mark_headers(early + 1), 0)
    refusals.send(event(NOON_MS), event(early, 0, appended_ms=NOON_MS), mark)
    assert [one.dead_letter.kind for one in refusals.find()] == ["future", "future"]
    assert Replay(refusals.scene.bootstrap, refusals.dead_letter_topic).run(refusals.find()) == 2
    refusals.settle()
    assert refusals.counts() == Counter(applied=2, dead=2, late=0, marks=1)
    assert refusals.find() == []
    refusals.assert_counts_add_up()


def test_late_records_have_a_list_of_their_own(refusals: Refusals) -> None:
    refusals.send(event(NOON_MS + MINUTE_MS), event(NOON_MS))
    (late,) = refusals.find(late=True)
    assert (late.dead_letter.kind, late.dead_letter.offset) == ("late", 1)
    assert refusals.find() == []
    assert "sent 1 records" in refusals.command("replay", "--late", "--yes")
    refusals.settle()
    assert [one.dead_letter.offset for one in refusals.find(late=True)] == [2]  # later still
    refusals.assert_counts_add_up()


def test_the_command_lists_asks_and_sends(refusals: Refusals) -> None:
    refusals.send(poison(0), poison(1), event(NOON_MS, 1, user=None))
    first, *table = refusals.command("list").splitlines()
    assert first.split() == ["record", "refused", "kind", "key", "bytes", "value", "reason"]
    bad, worse, null = sorted(table)
    assert null.startswith(f"{refusals.topic}[1]@1")
    assert "invalid" in null
    assert null.endswith("join key user is null")
    assert "bad key" in bad
    assert "not avro at all" in worse
    found = [json.loads(line) for line in refusals.command("list", "--format", "json").splitlines()]
    assert [
        DeadLetter(**{k: v for k, v in one.items() if k not in ("at_ms", "replayed")}).id for one in found
    ] == [one.dead_letter.id for one in refusals.find()]

    assert refusals.command("list", "--limit", "1").splitlines()[-1] == "and 2 more: --limit 3"
    for chosen, count in (
        (("--partition", "1"), 2), (("--kind", "invalid"), 1), (("--topic", "other"), 0),
        (("--since", "2100-01-01"), 0), (("--until", "2100-01-01"), 3),
    ):  # fmt: skip
        assert len(refusals.command("list", *chosen).splitlines()) == 1 + count

    assert "nothing was sent" in refusals.command("replay", "--dry-run")
    assert "Aborted" in refusals.command("replay", answer="n\n")
    assert len(refusals.find()) == 3
    assert "sent 1 records" in refusals.command("replay", "--partition", "0", answer="y\n")
    assert "sent 1 records" in refusals.command("replay", "--kind", "invalid", "--yes")
    refusals.settle()
    assert refusals.counts()["dead"] == 5
    refusals.assert_counts_add_up()
    assert "(replayed: " in refusals.command("list", "--replayed")


def test_an_interrupted_replay_is_finished_and_sends_nothing_twice(
    refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a replay hands to Kafka last: three times a marker, the record, another marker."""
    refusals.scene.stop()  # the worker would only add dead letters

    class Interrupted(Exception):
        pass

    send = Outbox.send

    def interrupted_after(last: int) -> None:
        handed = 0

        def fragile(outbox: Outbox, records: Any, deliveries: Deliveries) -> None:
            nonlocal handed
            handed += 1
            if handed > last:
                outbox.settle()  # what it took has arrived
                raise Interrupted
            send(outbox, records, deliveries)

        monkeypatch.setattr(Outbox, "send", fragile)
        with pytest.raises(Interrupted):
            Replay(refusals.scene.bootstrap, refusals.dead_letter_topic).run(refusals.find())
        monkeypatch.setattr(Outbox, "send", send)

    for last in range(9):
        refusals.dead_letters(*(dead_letter(refusals.topic, last, n) for n in range(3)))
        interrupted_after(last)
        Replay(refusals.scene.bootstrap, refusals.dead_letter_topic).run(refusals.find())
        assert refusals.find() == []
    told = [dict(m.headers())[REPLAYED].decode() for n in (0, 1) for m in refusals.log(n)]
    assert sorted(told) == sorted(
        dead_letter(refusals.topic, last, n).id for last in range(9) for n in range(3)
    )


def dead_letter(topic: str, round_number: int, number: int) -> DeadLetter:
    where = {"topic": topic, "partition": number % 2, "offset": round_number * 100 + number}
    return DeadLetter(**where, timestamp_ms=NOON_MS, reason="test", kind="malformed", key=None, value="AAAA")


def test_what_kafka_does_not_take_stays_open(refusals: Refusals) -> None:
    refusals.scene.stop()
    large = dead_letter(refusals.topic, 0, 1).model_copy(update={"value": "AAAA" * 500_000})
    refusals.dead_letters(dead_letter(refusals.topic, 0, 0), large)
    with pytest.raises(DeliveryError, match="Message size too large"):
        Replay(refusals.scene.bootstrap, refusals.dead_letter_topic).run(refusals.find())
    assert [one.dead_letter.id for one in refusals.find()] == [large.id]


def fixed_plan(refusals: Refusals, **changed: int) -> Plan:
    """A worker with the plan that knows schema 8, after a record of it was refused."""
    unknown = event(NOON_MS)
    refusals.send(unknown._replace(value=b"\0\0\0\0\x08" + (unknown.value or b"")[5:]))
    assert refusals.counts()["dead"] == 1
    schemas = {"writer_schemas": {7: EVENT_SCHEMA, 8: EVENT_SCHEMA}}
    source = refusals.source.model_copy(update=schemas | changed)
    fixed = Plan.model_validate(refusals.plan.model_dump() | {"sources": (source,)})
    refusals.scene.wait_for_checkpoint()  # else the record is judged by the new plan
    refusals.scene.stop()
    refusals.scene.plan_file.write_text(fixed.to_json())
    PlanStore(refusals.scene.redis, fixed.project).save(fixed)
    refusals.scene.redis.delete(progress_key(fixed.project), counts_key(fixed.project))
    refusals.scene.start_worker()
    refusals.settle()
    return fixed


def test_a_dead_letter_is_replayed_once_the_plan_knows_its_schema(refusals: Refusals) -> None:
    """One more writer schema leaves the state as it is: what was refused comes in by the replay."""
    fixed_plan(refusals)
    assert refusals.counts() == Counter(applied=0, dead=1, late=0, marks=0)
    refusals.command("replay", "--yes")
    refusals.settle()
    assert refusals.counts() == Counter(applied=1, dead=1, late=0, marks=0)


def test_a_dead_letter_of_an_earlier_definition_is_not_replayed(refusals: Refusals) -> None:
    """Another definition reads the topic anew: another copy would count twice."""
    fixed_plan(refusals, max_future_ms=refusals.source.max_future_ms + 1)
    assert refusals.counts() == Counter(applied=1, dead=0, late=0, marks=0)
    told = refusals.command("replay", "--yes")
    assert "1 not sent: refused under an earlier plan" in told
    assert "nothing was sent" in told


def test_the_largest_record_fits_its_dead_letter(refusals: Refusals) -> None:
    refusals.send(poison(0, os.urandom(990_000)), event(NOON_MS))
    (one,) = refusals.find()
    assert len(one.dead_letter.original_value or b"") == 990_000
    refusals.assert_counts_add_up()


def test_records_that_headrace_makes_are_not_replayed() -> None:
    examples = dead_letter(RouterTopics("shop", "delays").examples, 0, 0)
    assert "makes these records itself" in str(objection(examples, "shop", {}))
    assert objection(dead_letter(RouterTopics("shop", "delays").outcomes, 0, 0), "shop", {}) is None
    assert objection(dead_letter("clicks", 0, 0), "shop", {"clicks": "abc"}) is None
    assert objection(dead_letter("clicks", 0, 0), "shop", {"clicks": None}) is None
    for elsewhere in ("payments", "headrace.other.outcomes.delays"):
        assert "reads no such topic" in str(
            objection(dead_letter(elsewhere, 0, 0), "shop", {"clicks": "abc"})
        )


def test_a_dead_letter_from_before_it_had_headers_can_be_read() -> None:
    old = dead_letter("clicks", 0, 0).model_dump(exclude={"headers", "definition"})
    assert DeadLetter.model_validate_json(json.dumps(old)).original_headers == []
