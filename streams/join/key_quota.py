"""How much of one key the join holds. The state of a key is one record of the changelog, which takes 8 MiB.

Predictions and outcomes have shares of their own, so that neither keeps the other out.
"""

from __future__ import annotations

from typing import Final

from headrace.streams.join.state import KeyState, OutcomeState, PredictionState
from headrace.streams.join.wire_format import compact

MOST_PREDICTION_BYTES: Final = 3 << 20
MOST_OUTCOME_BYTES: Final = 1 << 20
_NUMBERS_BYTES = 100  # of a row, besides the id and the prediction


class KeyQuota:
    """Says which predictions and outcomes of a key there is room for.

    Parameters
    ----------
    most
        The most predictions of a key, and the most outcomes.

    Examples
    --------
    >>> from headrace.schemas.records import Outcome
    >>> first, second = (Outcome(outcome_id=name, key="k", label=1.0, ts_ms=0) for name in ("a", "b"))
    >>> quota, state = KeyQuota(most=1), KeyState()
    >>> quota.takes_outcome(state, OutcomeState(first, 0, 0))
    True
    >>> state.outcomes["a"] = OutcomeState(first, 0, 0)
    >>> quota.takes_outcome(state, OutcomeState(second, 1, 0))
    False
    """

    def __init__(self, most: int) -> None:
        self.most = most

    @property
    def reason(self) -> str:
        """Why one was turned away."""
        return (
            f"the join holds its quota of one key: {self.most} predictions or {MOST_PREDICTION_BYTES} bytes "
            f"of them, and as many outcomes or {MOST_OUTCOME_BYTES} bytes (setting `join_per_key`)"
        )

    def takes_prediction(self, state: KeyState, waiting: PredictionState) -> bool:
        """Whether there is room for one more prediction, which is then counted as held."""
        if state.prediction_bytes is None:
            state.prediction_bytes = sum(map(_prediction_bytes, state.predictions.values()))
        size = state.prediction_bytes + _prediction_bytes(waiting)
        if len(state.predictions) >= self.most or size > MOST_PREDICTION_BYTES:
            return False
        state.prediction_bytes = size
        return True

    def takes_outcome(self, state: KeyState, arrived: OutcomeState) -> bool:
        """Whether there is room for one more outcome, which is then counted as held."""
        if state.outcome_bytes is None:
            state.outcome_bytes = sum(map(_outcome_bytes, state.outcomes.values()))
        size = state.outcome_bytes + _outcome_bytes(arrived)
        if len(state.outcomes) >= self.most or size > MOST_OUTCOME_BYTES:
            return False
        state.outcome_bytes = size
        return True


def _prediction_bytes(state: PredictionState) -> int:
    whole = 0 if state.prediction is None else len(state.prediction)
    return _NUMBERS_BYTES + len(compact(state.prediction_id)) + whole


def _outcome_bytes(state: OutcomeState) -> int:
    return _NUMBERS_BYTES + len(compact(state.outcome.outcome_id))
