"""Models from elsewhere as arms: an ONNX file that does not learn, and a correction that does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from headrace.learners.models.onnx_model import OnnxClassifier, OnnxRegressor


@dataclass(frozen=True)
class FrozenModel:
    """The `model` of a learner that was trained elsewhere and exported as ONNX. It does not learn.

    The file is part of the repository and of the definition: another content begins a new major version, as
    soon as it is applied. `train` puts it into its signed artifacts, and `serve` answers from these.
    Progressive metrics are kept as for models that learn.

    Parameters
    ----------
    path
        The ONNX file; a relative one is found beside ``learners.py``. Weights in files besides are not read.
    inputs
        Names of the learner's features and request fields, in the order in which the model takes them: as
        columns of its one input, or as its inputs.
    predicts
        ``probabilities`` of the classes, or a ``number``.
    classes
        The classes of the probabilities, in their order.
    output
        Name of the output that is read; None where one alone can be.
    null
        The number that stands for a null. NaN suits trees; it makes a sum NaN, which is no answer. A null
        text is empty.
    calibrated
        Whether a correction learns from every label. Of the probabilities of two classes it is Platt scaling
        [1]_ by stochastic gradient descent, from slope 1 and intercept 0; to a number the exponentially
        weighted mean of ``label - prediction`` is added, with weight 0.01 for the newest.

    References
    ----------
    .. [1] Platt (1999). Probabilistic outputs for support vector machines and comparisons to regularized
       likelihood methods.

    Examples
    --------
    >>> from headrace import Learner
    >>> inputs = ["customer_orders__orders_1h", "amount"]
    >>> boosting = FrozenModel("boosting.onnx", inputs, calibrated=True)
    >>> learner = Learner("boosting", boosting, "customer_features", "returned", request=["amount"])
    """

    path: str | Path
    inputs: Sequence[str]
    predicts: Literal["probabilities", "number"] = "probabilities"
    classes: Sequence[bool | str] = (False, True)
    output: str | None = None
    null: float = math.nan
    calibrated: bool = False

    def beside(self, folder: Path) -> FrozenModel:
        """Return the definition with a relative path taken from a folder."""
        return replace(self, path=folder / self.path)

    def __call__(self) -> OnnxClassifier | OnnxRegressor:
        """Read the file.

        Raises
        ------
        HeadraceError
            When it cannot be read, or cannot be executed as declared.
        """
        from headrace.learners.models.onnx_file import OnnxFile
        from headrace.learners.models.onnx_model import OnnxClassifier, OnnxRegressor

        file = OnnxFile.read(Path(self.path), tuple(self.inputs), self.output, float(self.null))
        if self.predicts == "number":
            return OnnxRegressor(file, calibrated=self.calibrated)
        return OnnxClassifier(file, tuple(self.classes), calibrated=self.calibrated)
