"""Checks of frozen models: the file runs, and the learner has what it takes."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.learners.compile.requirements import Requirements
from headrace.learners.definitions import Learner
from headrace.learners.frozen import FrozenModel
from headrace.schemas.domains import DomainSpec
from headrace.schemas.errors import DefinitionError, ModelError
from headrace.schemas.feature_types import ValueType
from headrace.schemas.name_hint import name_hint
from headrace.schemas.records import Value


def check_frozen(
    requirements: Requirements, learner: Learner, inputs: Mapping[str, ValueType], domain: DomainSpec
) -> None:
    """Require of a frozen model that it runs, on the learner's inputs, for its target; pass over others.

    Parameters
    ----------
    inputs
        Names and types of the features and request fields that the learner reads.
    domain
        Of the learner's target.

    Raises
    ------
    DefinitionError
        Names the input, or says what onnxruntime said.
    """
    frozen = learner.model
    if not isinstance(frozen, FrozenModel):
        return
    where = f"learner '{learner.name}'"
    for name in frozen.inputs:
        problem = f"its frozen model takes '{name}', which it does not read"
        remedy = f"Add it to its service or to `request`; {name_hint(name, inputs)}"
        requirements.require(name in inputs, where, problem, remedy)
    unread = [name for name in inputs if name not in frozen.inputs]
    problem = f"it reads {', '.join(map(repr, unread))}, which its frozen model does not take"
    remedy = "Name in `inputs` what the file takes, and read a service with no other features"
    requirements.require(not unread, where, problem, remedy)
    two = frozen.predicts == "probabilities" and len(set(frozen.classes)) == 2
    problem = f"its frozen model is calibrated, and has {len(frozen.classes)} classes"
    remedy = "Leave `calibrated` out: a correction is learned of two classes, or of a number"
    requirements.require(not frozen.calibrated or two or frozen.predicts == "number", where, problem, remedy)
    _check_classes(requirements, where, frozen, domain)
    _run(requirements, where, frozen, inputs)


def _check_classes(requirements: Requirements, where: str, frozen: FrozenModel, domain: DomainSpec) -> None:
    """Require that the classes of probabilities are those of the target."""
    if domain.kind == "number" or frozen.predicts == "number":
        return  # kinds are compared for all models alike
    wanted = (False, True) if domain.kind == "binary" else domain.classes
    problem = f"its frozen model gives probabilities of {', '.join(map(repr, frozen.classes))}"
    remedy = f"Name in `classes`, in the order of the file, {', '.join(map(repr, wanted))}"
    requirements.require(sorted(frozen.classes) == sorted(wanted), where, problem, remedy)


def _run(
    requirements: Requirements, where: str, frozen: FrozenModel, inputs: Mapping[str, ValueType]
) -> None:
    """Run the file on one row of values of the declared types."""
    try:
        model = frozen()
        for name, takes_text in model.file.takes_text.items():
            if takes_text != (inputs[name] == "String"):
                kinds = ("a text", "a number") if takes_text else ("a number", "a text")
                raise ModelError(f"it takes '{name}' as {kinds[0]}, and the feature is {kinds[1]}")
        x: dict[str, Value] = {name: "" if dtype == "String" else 1 for name, dtype in inputs.items()}
        model.predict_one(x) if hasattr(model, "predict_one") else model.predict_proba_one(x)
    except (ModelError, ValueError) as error:
        problem = f"its frozen model '{frozen.path}' does not run: {error}"
        remedy = (
            "Export the model anew, and declare `inputs`, `predicts`, `classes` and `output` as the file is"
        )
        raise DefinitionError(requirements.file, where, problem, remedy) from error
