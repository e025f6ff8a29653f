"""How a trainer process runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headrace.streams.runtime.config import ConsumerConfig

REPEAT_S: Final = 2.0  # between two times that Redis is given again what it may have lost


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ConsumerConfig):
    """How a trainer process runs.

    Attributes
    ----------
    publish_every_s
        Wall clock between two published versions of a learner while there is something new; 0: versions
        follow time marks alone, so that they do not depend on how fast the machine is.
    """

    publish_every_s: float = 1.0
