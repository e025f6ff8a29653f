"""Learning that can be undone: a model that an example would ruin is as it was before it."""

from __future__ import annotations

import pickle
from typing import Any, Final

from headrace.learners.models.scoring import Features, Ruined, learn, score_and_learn
from headrace.schemas.domains import BINARY, DomainSpec, Score
from headrace.schemas.label_reader import Label

_LEAST_EXAMPLES: Final = 256  # between two copies
_BYTES_AN_EXAMPLE: Final = 1024  # of a copy: a large model is copied less often


class UndoableModel:
    """A model, a copy of an earlier state, and what it has learned since.

    Parameters
    ----------
    model
        The river estimator.
    domain
        Of its target.

    Attributes
    ----------
    model
        The same, or one that equals what it was before it was ruined.
    """

    def __init__(self, model: Any, domain: DomainSpec = BINARY) -> None:
        self.model, self._domain = model, domain
        self._copy: bytes | None = None
        self._learned: list[tuple[Features, Label]] = []
        self._most = _LEAST_EXAMPLES

    def learn(self, x: Features, label: Label) -> Score:
        """Score, then learn.

        Returns
        -------
        float or dict
            The score, before the label was learned.

        Raises
        ------
        ValueError
            When the model answers with no finite number, before or after. Then nothing has been learned.
        """
        if self._copy is None or len(self._learned) >= self._most:
            self._save()
        try:
            predicted = score_and_learn(self.model, x, label, self._domain)
        except Ruined:
            self._undo()
            raise
        self._learned.append((x, label))
        return predicted

    def _save(self) -> None:
        self._copy, self._learned = pickle.dumps(self.model, pickle.HIGHEST_PROTOCOL), []
        self._most = max(_LEAST_EXAMPLES, len(self._copy) // _BYTES_AN_EXAMPLE)

    def _undo(self) -> None:
        assert self._copy is not None
        self.model = pickle.loads(self._copy)  # of this process's own memory
        for x, label in self._learned:
            learn(self.model, x, label)
        self._save()  # what comes next may ruin it, too
