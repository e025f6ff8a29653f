"""Records of progress and of counts: their places in Redis and their bytes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.schemas.encodings import UNVERSIONED

Stage = Literal["features", "outcomes", "join", "train", "serve"]
Where = tuple[str, str, int, str]  # stage, input topic, partition, member
VERSION = 2
BEYOND = 1 << 63  # no offset, count or time is so great
_OLDER = (UNVERSIONED, 1)  # without a plan
_PLACE = re.compile(r".+\|[0-9]{1,9}")  # topic and partition


def progress_key(project: str) -> str:
    """Redis hash of progress, a `Progress` under each `progress_field`."""
    return f"headrace:{project}:progress"


def counts_key(project: str) -> str:
    """Redis hash of counts, JSON objects under ``intake|topic|partition``, ``expectations|topic|partition``,
    ``sums|topic|member|partition``, ``join|router|partition`` and ``outcomes|router|topic|partition``."""
    return f"headrace:{project}:counts"


def progress_field(stage: Stage, topic: str, partition: int, member: str = "") -> str:
    """Field of `progress_key` for a member of a stage and a partition of its input.

    >>> progress_field("features", "clicks", 3, "direct")
    'features|clicks|3|direct'
    """
    return f"{stage}|{topic}|{partition}|{member}"


def whole(value: object) -> int:
    """Return an offset or a time out of JSON, 0 for a negative one.

    Raises
    ------
    ValueError
        When it is no whole number, or a greater one than there can be.
    """
    if not isinstance(value, int) or value >= BEYOND:
        raise ValueError("no offset and no time")
    return max(0, value)


@dataclass(frozen=True)
class Progress:
    """The prefix ``[0, next_offset)`` of an input partition is visible.

    Attributes
    ----------
    next_offset
        End of the prefix.
    out
        ``"topic|partition"`` of an output to its end offset at that moment: whoever has read that far has
        seen all that follows from the prefix.
    at_ms
        Wall clock when the record was written, epoch milliseconds; 0: now.
    plan
        Hash of the plan that the effects follow from; empty where a version before this one wrote it.

    Examples
    --------
    >>> record = Progress(7, {"headrace.shop.examples.offers|0": 3}, at_ms=2_250, plan="5e88")
    >>> record.encode()
    '{"v":2,"next":7,"out":{"headrace.shop.examples.offers|0":3},"at":2250,"plan":"5e88"}'
    >>> Progress.decode(record.encode()) == record
    True
    """

    next_offset: int
    out: Mapping[str, int] = field(default_factory=dict)
    at_ms: int = 0
    plan: str = ""

    def encode(self) -> str:
        """Return the record as JSON."""
        at_ms = self.at_ms or time.time_ns() // 1_000_000
        raw = {"v": VERSION, "next": self.next_offset, "out": dict(self.out), "at": at_ms, "plan": self.plan}
        return json.dumps(raw, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | bytes) -> Progress:
        """Read a record.

        One of an unknown version, or that is damaged, counts as none, since its next writer overwrites it.
        """
        try:
            raw = json.loads(text)
            if raw.get("v", UNVERSIONED) not in (*_OLDER, VERSION):
                return cls(0)
            out = {place: whole(end) for place, end in raw["out"].items() if _PLACE.fullmatch(place)}
            return cls(whole(raw["next"]), out, whole(raw["at"]), str(raw.get("plan", "")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls(0)
