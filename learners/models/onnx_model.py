"""Models in ONNX as estimators of river: they answer as the file does, and learn a correction at most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

# isort: split
from river import linear_model, optim, stats

from headrace.learners.models.onnx_file import OnnxFile
from headrace.schemas.records import Value

_RATE: Final = 0.01
_CLIP: Final = 1e-6  # of probabilities, before their logarithms are taken

Features = Mapping[str, Value]


class OnnxClassifier:
    """Answers with the probabilities that the file gives, corrected by Platt scaling where that is asked for.

    Parameters
    ----------
    file
        Gives a probability for each class, or one for the second of two.
    classes
        In the order of the file; named by it where it gives them by name.
    calibrated
        Whether to learn a correction, of two classes.
    """

    def __init__(self, file: OnnxFile, classes: Sequence[bool | str], *, calibrated: bool = False) -> None:
        self.file, self.classes = file, tuple(classes)
        self.correction = _platt_scaling() if calibrated else None

    def predict_proba_one(self, x: Features) -> dict[Any, float]:
        """Return probabilities by class.

        Raises
        ------
        ValueError
            When the file gives none.
        """
        answer = self._answer(x)
        if self.correction is None or not self.correction.weights:  # nothing has been learned
            return answer
        corrected: Mapping[bool, float] = self.correction.predict_proba_one(self._logit(answer))
        return {label: corrected[bool(position)] for position, label in enumerate(self.classes)}

    def learn_one(self, x: Features, y: bool | str) -> None:
        """Learn the correction."""
        if self.correction is not None:
            self.correction.learn_one(self._logit(self._answer(x)), y == self.classes[1])

    def _answer(self, x: Features) -> dict[Any, float]:
        answer = self.file.run(x)
        if isinstance(answer, Mapping):
            named = {self._named(key): float(p) for key, p in answer.items()}
        else:
            given = [float(p) for p in answer]
            given = [1.0 - given[0], given[0]] if len(given) == 1 and len(self.classes) == 2 else given
            if len(given) != len(self.classes):
                raise ValueError(
                    f"the file gives {len(given)} numbers, and there are {len(self.classes)} classes"
                )
            named = dict(zip(self.classes, given, strict=True))
        if not all(0.0 <= p <= 1.0 for p in named.values()):
            raise ValueError(f"the file gives {[*named.values()]}, which are no probabilities")
        return named

    def _named(self, key: Any) -> Any:
        if isinstance(key, str):
            return key
        if not 0 <= key < len(self.classes):
            raise ValueError(f"the file gives class {key}, and there are {len(self.classes)}")
        return self.classes[key]

    def _logit(self, answer: Mapping[Any, float]) -> dict[str, float]:
        p = min(1.0 - _CLIP, max(_CLIP, answer[self.classes[1]]))
        return {"logit": math.log(p / (1.0 - p))}


class OnnxRegressor:
    """Answers with the number that the file gives, corrected by its recent bias where that is asked for.

    Parameters
    ----------
    file
        Gives one number.
    calibrated
        Whether to learn a correction.
    """

    def __init__(self, file: OnnxFile, *, calibrated: bool = False) -> None:
        self.file = file
        self.correction = stats.EWMean(fading_factor=_RATE) if calibrated else None

    def predict_one(self, x: Features) -> float:
        """Return the number; raises `ValueError` when the file gives none, or several."""
        return self._answer(x) + (0.0 if self.correction is None else self.correction.get())

    def learn_one(self, x: Features, y: float) -> None:
        """Learn the correction."""
        if self.correction is not None:
            self.correction.update(y - self._answer(x))

    def _answer(self, x: Features) -> float:
        answer = self.file.run(x)
        if isinstance(answer, Mapping) or len(answer) != 1:
            raise ValueError(f"the file gives {len(answer)} numbers, and one is read")
        return float(answer[0])


def _platt_scaling() -> Any:
    return linear_model.LogisticRegression(
        optimizer=optim.SGD(_RATE), intercept_lr=_RATE, initializer=optim.initializers.Constant(1.0)
    )
