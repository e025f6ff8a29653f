"""The log-and-wait join, done the slow and obvious way: nothing is forgotten, everything is searched."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class P:
    id: str
    key: str
    ts: int
    clock: int = 0
    closed: bool = False
    out: list[float] = field(default_factory=list)


@dataclass
class O:  # noqa: E742 - the letter of the definition
    id: str
    key: str
    ts: int
    label: float
    clock: int = 0
    fate: str = "parked"
    missed: bool = False  # came after the closing of a prediction it could have been of


@dataclass
class M:
    source: str
    ts: int


class Oracle:
    """Feed events one by one with `step`, then look at the lists."""

    def __init__(self, wait: int, missing: str, duplicates: str, per_key: int = 1_000) -> None:
        self.wait, self.missing, self.duplicates, self.per_key = wait, missing, duplicates, per_key
        self.ps: list[P] = []
        self.os: list[O] = []
        self.clocks: dict[str, int] = {}
        self.examples: list[tuple[str, float, int]] = []
        self.closings: list[tuple[str, str, float | None, int | None]] = []
        self.refused: list[tuple[str, str]] = []
        self.copies = {"P": 0, "O": 0}
        self.too_old = 0
        self.turned_away = {"P": 0, "O": 0}
        self.ended: list[str] = []

    def step(self, event: P | O | M) -> None:
        if isinstance(event, P):
            self.prediction(event)
        elif isinstance(event, O):
            self.outcome(event)
        source = event.source if isinstance(event, M) else {P: "predictions", O: "outcomes"}[type(event)]
        self.clocks[source] = max(self.clocks.get(source, event.ts), event.ts)
        self.close()
        self.expire()

    def clock(self) -> float:
        return min(self.clocks.values()) if len(self.clocks) == 2 else float("-inf")

    def prediction(self, event: P) -> None:
        seen = self.clocks.get("predictions", event.ts)
        if seen >= event.ts + 2 * self.wait:
            self.too_old += 1
            self.refused.append(("late", event.id))
        elif any(p.id == event.id for p in self.ps):
            self.copies["P"] += 1
        elif len(self.held(self.ps, event.key)) >= self.per_key:
            self.turned_away["P"] += 1
            self.refused.append(("over_quota", event.id))
        else:
            event.clock = max(seen, event.ts)
            self.ps.append(event)
            for o in self.os:
                o.missed = o.missed or self.missed(event, o)
            self.relabel(event)

    def outcome(self, event: O) -> None:
        seen = self.clocks.get("outcomes", event.ts)
        event.clock = max(seen, event.ts)
        if seen >= event.ts + 2 * self.wait:
            event.missed = True
            self.end(event)
        elif any(o.id == event.id for o in self.os):
            self.copies["O"] += 1
        elif len(self.held(self.os, event.key)) >= self.per_key:
            self.turned_away["O"] += 1
            self.refused.append(("over_quota" if self.held(self.ps, event.key) else "orphan", event.id))
        else:
            event.missed = any(self.missed(p, event) for p in self.ps)
            self.os.append(event)
            for p in self.ps:
                if not p.closed and event in self.matching(p):
                    self.relabel(p)

    def held(self, records: list[P] | list[O], key: str) -> list[P | O]:
        """Those of a key that the join remembers: nothing that belongs to the others can come any more."""
        return [one for one in records if one.key == key and one.ts + 2 * self.wait > self.clock()]

    def matching(self, p: P) -> list[O]:
        return [
            o for o in self.os if o.key == p.key and o.clock < p.ts + self.wait and p.clock < o.ts + self.wait
        ]

    def missed(self, p: P, o: O) -> bool:
        closed = p.ts + self.wait
        same = o.key == p.key and p.clock < o.ts + self.wait
        return same and closed <= o.clock < closed + self.wait

    def label(self, p: P) -> tuple[float, int] | None:
        found = self.matching(p)
        if not found:
            return None
        if self.duplicates == "first":
            return found[0].label, found[0].ts
        if self.duplicates == "last":
            return found[-1].label, found[-1].ts
        if self.duplicates == "sum":
            return float(sum(o.label for o in found)), max(o.ts for o in found)
        top = max(o.label for o in found)
        return next((o.label, o.ts) for o in found if o.label == top)

    def relabel(self, p: P) -> None:
        for n, o in enumerate(self.matching(p)):
            if n == 0 or self.duplicates != "first":
                o.fate = "applied"
            elif o.fate == "parked":
                o.fate = "duplicate"
        label = self.label(p)
        if label is not None and (not p.out or p.out[-1] != label[0]):
            self.emit(p, *label)

    def emit(self, p: P, label: float, ts: int) -> None:
        self.examples.append((p.id if not p.out else f"{p.id}#{len(p.out)}", label, ts))
        p.out.append(label)

    def close(self) -> None:
        due = [p for p in self.ps if not p.closed and p.ts + self.wait <= self.clock()]
        for p in sorted(due, key=lambda p: (p.ts + self.wait, p.id)):
            p.closed = True
            label = self.label(p)
            if label is not None:
                self.closings.append((p.id, "matched", *label))
            elif self.missing == "negative":
                self.closings.append((p.id, "negative", 0.0, p.ts + self.wait))
                self.emit(p, 0.0, p.ts + self.wait)
            else:
                self.closings.append((p.id, "censored", None, None))

    def expire(self) -> None:
        for o in sorted(self.os, key=lambda o: (o.ts, o.id)):
            ends = o.ts + self.wait
            if o.fate == "parked" and ends <= self.clock():
                self.end(o)

    def end(self, o: O) -> None:
        o.fate = "late" if o.missed else "orphan"
        self.ended.append(o.fate)
        self.refused.append((o.fate, o.id))

    def counts(self) -> dict[str, int]:
        statuses = [c[1] for c in self.closings]
        fates = [o.fate for o in self.os]
        return {
            "predictions": len(self.ps),
            "pending": sum(not p.closed for p in self.ps),
            **{s: statuses.count(s) for s in ("matched", "negative", "censored")},
            "outcomes": sum(o in ("applied", "parked", "duplicate") for o in fates)
            + self.copies["O"]
            + len(self.ended)
            + self.turned_away["O"],
            "applied": fates.count("applied"),
            "parked": fates.count("parked"),
            "duplicate": fates.count("duplicate") + self.copies["O"],
            "late": self.ended.count("late"),
            "orphan": self.ended.count("orphan"),
            "over_quota": self.turned_away["O"],
            "prediction_duplicates": self.copies["P"],
            "prediction_late": self.too_old,
            "prediction_over_quota": self.turned_away["P"],
            "examples": len(self.examples),
        }
