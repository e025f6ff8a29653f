"""An ONNX file and the session that runs it: a part of a model that is pickled as its bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.errors import ModelError
from headrace.schemas.records import Value

_FLOATS: Final[Mapping[str, Any]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_EXACT: Final[Mapping[str, Any]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_TEXT: Final = "tensor(string)"
_MAPS: Final = "seq(map("
_sessions: WeakValueDictionary[str, Any] = WeakValueDictionary()  # by digest: versions of one file share it


class OnnxFile:
    """A model in ONNX, run by onnxruntime on one row at a time, on one thread.

    Parameters
    ----------
    content
        Of the file.
    inputs
        Names of the values that it takes, in its order.
    output
        Name of the output that is read; None where one alone can be.
    null
        The number that stands for a null.

    Attributes
    ----------
    digest
        SHA-256 of the content, in hex.
    takes_text
        By input, whether it takes text.

    Raises
    ------
    ModelError
        When onnxruntime is not installed, does not run the content, or it takes or gives something else.
    """

    __slots__ = (
        "_columns",
        "_output",
        "_session",
        "content",
        "digest",
        "inputs",
        "null",
        "output",
        "takes_text",
    )

    def __init__(
        self,
        content: bytes,
        inputs: tuple[str, ...],
        output: str | None = None,
        null: float = math.nan,
    ) -> None:
        self.content, self.inputs, self.output, self.null = content, inputs, output, null
        self.digest = hashlib.sha256(content).hexdigest()
        self._session = _session(content, self.digest)
        self._columns = _columns(self._session.get_inputs(), inputs)
        self._output = _output(self._session.get_outputs(), output)
        self.takes_text = {name: kind == _TEXT for _, kind, _, names in self._columns for name in names}

    @classmethod
    def read(cls, path: Path, inputs: tuple[str, ...], output: str | None, null: float) -> OnnxFile:
        """Read a file; raises as the class does, and when it cannot be read."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"'{path}' cannot be read: {error.strerror}") from error
        return cls(content, inputs, output, null)

    def run(self, x: Mapping[str, Value]) -> Any:
        """Return the output for one row: an array, or a dict of probabilities by class.

        Raises
        ------
        ValueError
            When a value is missing that has no null, or is of another kind.
        """
        feeds = {
            name: _array([x.get(key) for key in names], names, kind, self.null).reshape(shape)
            for name, kind, shape, names in self._columns
        }
        (answer,) = self._session.run([self._output], feeds)
        return answer[0] if isinstance(answer, list) else answer.reshape(-1)

    def __reduce__(self) -> tuple[type[OnnxFile], tuple[bytes, tuple[str, ...], str | None, float]]:
        return OnnxFile, (self.content, self.inputs, self.output, self.null)

    def __repr__(self) -> str:
        return f"OnnxFile({self.digest}, {self.inputs}, {self.output}, {self.null})"


def _session(content: bytes, digest: str) -> Any:
    if (session := _sessions.get(digest)) is None:
        session = _sessions[digest] = _new_session(content)
    return session


def _new_session(content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "onnxruntime, which runs frozen models, is not installed: pip install 'headrace[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime does not run it: {error}") from error


_Column = tuple[str, str, tuple[int, ...], tuple[str, ...]]  # name, type and shape of an input, whose values


def _columns(taken: Sequence[Any], inputs: tuple[str, ...]) -> list[_Column]:
    """Say which values each input of the model takes."""
    for each in taken:
        if each.type not in (*_FLOATS, *_EXACT, _TEXT) or not 1 <= len(each.shape) <= 2:
            raise ModelError(
                f"its input '{each.name}' is {each.type} of shape {each.shape}; it can be given one row of "
                "numbers, booleans or text"
            )
    if len(taken) == 1 and len(taken[0].shape) == 2:
        (one,) = taken
        width = one.shape[1]
        if isinstance(width, int) and width != len(inputs):
            raise ModelError(f"it takes {width} columns, and {len(inputs)} inputs are declared")
        return [(one.name, one.type, (1, len(inputs)), inputs)]
    if len(taken) != len(inputs):
        names = ", ".join(f"'{each.name}'" for each in taken)
        raise ModelError(f"it takes {len(taken)} inputs ({names}), and {len(inputs)} are declared")
    return [
        (each.name, each.type, (1,) * len(each.shape), (name,))
        for each, name in zip(taken, inputs, strict=True)
    ]


def _output(given: Sequence[Any], name: str | None) -> str:
    """Return the name of the output that is read."""
    readable = [each.name for each in given if each.type in _FLOATS or each.type.startswith(_MAPS)]
    if name is None and len(readable) == 1:
        return str(readable[0])
    if name in readable:
        return str(name)
    found = ", ".join(f"'{each.name}' ({each.type})" for each in given)
    asked = f"its output '{name}'" if name else "which of its outputs is read"
    raise ModelError(f"{asked} is not one of floating numbers; set `output`, it has {found}")


def _array(values: Sequence[Value | None], names: Sequence[str], kind: str, null: float) -> NDArray[Any]:
    if kind == _TEXT:
        return np.array(["" if value is None else str(value) for value in values], dtype=object)
    for name, value in zip(names, values, strict=True):
        if isinstance(value, str):
            raise ValueError(f"'{name}' is a text, and the model takes {kind}")
        if value is None and kind in _EXACT and math.isnan(null):
            raise ValueError(f"'{name}' is null, and the model takes {kind}: declare `null`")
    filled = np.array([null if value is None else value for value in values])
    return filled.astype(_EXACT.get(kind) or _FLOATS[kind])
