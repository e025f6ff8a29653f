"""Small models in ONNX, made node by node: a logistic regression, a line, and what exporters write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def line(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """A number: the weighted sum of the columns."""
    return _model([_columns("x", len(weights))], _sum(weights, bias, "y"), [_column("y")])


def logistic(weights: Sequence[float], bias: float = 0.0, outputs: Sequence[str] = ("p",)) -> bytes:
    """The probability of the second class, once under each name."""
    nodes = [*_sum(weights, bias, "z"), *(helper.make_node("Sigmoid", ["z"], [name]) for name in outputs)]
    return _model([_columns("x", len(weights))], nodes, [_column(name) for name in outputs])


def exported(weights: Sequence[float], labels: Sequence[str] | None = None) -> bytes:
    """A classifier as skl2onnx writes it: a label, and a map of probabilities; of names where given."""
    classes = {"classlabels_strings": labels} if labels else {"classlabels_ints": [0, 1]}
    value = TensorProto.STRING if labels else TensorProto.INT64
    nodes = [
        helper.make_node(
            "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
            coefficients=[*(-w for w in weights), *weights], intercepts=[0.0, 0.0], multi_class=1,
            post_transform="SOFTMAX", **classes,
        ),
        helper.make_node(
            "ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml",
            **({"classlabels_strings": labels} if labels else {"classlabels_int64s": [0, 1]}),
        ),
    ]  # fmt: skip
    named = helper.make_map_type_proto(value, helper.make_tensor_type_proto(FLOAT, []))
    outputs = [
        helper.make_tensor_value_info("label", value, [None]),
        helper.make_value_info("probabilities", helper.make_sequence_type_proto(named)),
    ]
    return _model([_columns("x", len(weights))], nodes, outputs)


def several(kinds: Sequence[int]) -> bytes:
    """A number from inputs of their own: the first, of these types; texts are let by."""
    inputs = [helper.make_tensor_value_info(f"in{n}", kind, [None, 1]) for n, kind in enumerate(kinds)]
    return _model(inputs, [helper.make_node("Cast", ["in0"], ["y"], to=FLOAT)], [_column("y")])


def _sum(weights: Sequence[float], bias: float, name: str) -> list[Any]:
    constants = [
        ("w", np.array(weights, dtype=np.float32).reshape(-1, 1)),
        ("b", np.array([bias], dtype=np.float32)),
    ]
    made = [
        helper.make_node("Constant", [], [key], value=numpy_helper.from_array(array))
        for key, array in constants
    ]
    return [
        *made,
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], [name]),
    ]


def _columns(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, FLOAT, [None, width])


def _column(name: str) -> Any:
    return helper.make_tensor_value_info(name, FLOAT, [None, 1])


def _model(inputs: Sequence[Any], nodes: Sequence[Any], outputs: Sequence[Any]) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())
