"""The flights with arms that were trained elsewhere: a file in ONNX as it is, and corrected as it serves."""

from __future__ import annotations

from pathlib import Path

from tests.support import onnx_files
from tests.support.flight_learners import LEARNERS

FROZEN = (
    LEARNERS.replace("import Learner,", "import FrozenModel, Learner,")
    .replace(
        "LEARNERS = [",
        """INPUTS = ["delays__mean", "delays__count", "distance"]
LEARNERS = [
    Learner("frozen", FrozenModel("model.onnx", INPUTS, null=10), "delays", "late", request=["distance"]),
    Learner("corrected", FrozenModel("model.onnx", INPUTS, null=10, calibrated=True), "delays", "late",
            request=["distance"]),""",
    )
)  # fmt: skip


def write_model(folder: Path, bias: float = -1.0) -> Path:
    """Write the file that the learners name: the later the flights before, the likelier."""
    path = folder / "model.onnx"
    path.write_bytes(onnx_files.logistic([0.1, 0.0, 0.0], bias))
    return path
