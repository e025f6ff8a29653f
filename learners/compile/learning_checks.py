"""Checks of a learner's model before it is registered: it learns, is deterministic, and can be stored."""

from __future__ import annotations

import random
import time
from typing import Any, Final

from headrace.learners.compile.targets import made_up_label
from headrace.learners.definitions import Learner
from headrace.learners.frozen import FrozenModel
from headrace.learners.models.inputs import GREATEST
from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.learners.models.scoring import Features
from headrace.learners.models.state_digest import state_digest
from headrace.learners.training.undo import UndoableModel
from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.errors import DefinitionError, ModelError
from headrace.schemas.feature_types import ValueType
from headrace.schemas.label_reader import Label
from headrace.schemas.records import Value

_EXAMPLES: Final = 200
_MORE: Final = 50  # after the model was stored and loaded
_MOST_S: Final = 60.0  # for the examples of one model
_Example = tuple[Features, Label]


def check_learning(
    file: str, learner: Learner, inputs: dict[str, ValueType], domain: DomainSpec = BINARY
) -> None:
    """Train new models on made-up examples: with nulls, unseen texts, and the extremes that are admitted.

    Two of them learn the same. One is written and read as the model store does, and learns on.

    Parameters
    ----------
    inputs
        Names and types of the features that the model reads.
    domain
        Of the labels.

    Raises
    ------
    DefinitionError
        When a model raises on all examples, two that learned the same differ, one cannot be loaded or is
        another when it is, does not change by learning, or when this takes longer than a minute.
    """
    where, examples = f"learner '{learner.name}'", _made_up(inputs, domain)
    trials = [Trial(learner.model(), domain) for _ in range(2)]
    before = trials[0].digest
    for trial in trials:
        trial.learn(examples[:_EXAMPLES])
    fault = (
        _fault_of_learning(*trials)
        or _fault_of_state(learner, before, trials[0])
        or _fault_of_storing(trials[0], domain, examples[_EXAMPLES:])
    )
    if fault is not None:
        raise DefinitionError(file, where, *fault)


_Fault = tuple[str, str] | None  # problem and remedy


def _fault_of_learning(first: Trial, second: Trial) -> _Fault:
    if first.is_late or second.is_late:
        return (
            f"it has learned {first.tried} made-up examples in {_MOST_S:g} s",
            "Take a smaller model: it is asked twice for every label",
        )
    if first.raised is not None and not first.learned:
        return (
            f"it raised on all of {first.tried} made-up examples, last {first.raised}",
            "Have it take examples without some features, texts it has not seen, and numbers up to 3.4e38",
        )
    if (first.trace, first.digest) != (second.trace, second.digest):
        return (
            "two models of it that learned the same examples differ",
            "Pass `seed=` to every part of the model that draws random numbers",
        )
    return None


def _fault_of_storing(trained: Trial, domain: DomainSpec, more: list[_Example]) -> _Fault:
    remedy = "Build it of estimators of river and of functions at the top level of learners.py"
    try:
        loaded = Trial(load_model(dump_model(trained.model)), domain)
    except (ModelError, RecursionError) as error:
        return f"it cannot be stored and loaded again once it has learned ({error})", remedy
    same = loaded.digest == trained.digest
    before = len(trained.trace)
    for trial in (trained, loaded):
        trial.learn(more)
    if not same or trained.trace[before:] != loaded.trace or trained.digest != loaded.digest:
        return "it is another model when it has been stored and loaded again", remedy
    return None


def _fault_of_state(learner: Learner, before: str, trained: Trial) -> _Fault:
    if trained.digest != before or isinstance(learner.model, FrozenModel):
        return None
    return (
        f"it does not learn: it is the same model after {trained.learned} examples",
        "Take an estimator that learns one example at a time, or a FrozenModel",
    )


class Trial:
    """A model that learns as the trainer has it learn: an example that would ruin it is undone.

    Attributes
    ----------
    trace
        For each example the score before it was learned, or the type of what was raised.
    tried, learned
        Numbers of examples.
    raised
        The last exception as text; None without one.
    """

    def __init__(self, model: Any, domain: DomainSpec) -> None:
        self._undoable = UndoableModel(model, domain)
        self.trace: list[Any] = []
        self.tried = self.learned = 0
        self.raised: str | None = None
        self._end_s = time.monotonic() + _MOST_S

    @property
    def model(self) -> Any:
        """The river estimator."""
        return self._undoable.model

    @property
    def digest(self) -> str:
        """See `state_digest`."""
        return state_digest(self.model)

    @property
    def is_late(self) -> bool:
        """Whether more time has passed than models have."""
        return time.monotonic() > self._end_s

    def learn(self, examples: list[_Example]) -> None:
        """Learn examples, as far as there is time."""
        for x, label in examples:
            if self.is_late:
                return
            self.tried += 1
            try:
                self.trace.append(self._undoable.learn(x, label))
                self.learned += 1
            except (Exception, SystemExit) as error:  # a model may hold any function
                self.trace.append(type(error).__name__)
                self.raised = f"{type(error).__name__}: {error}".rstrip(": ")


def _made_up(inputs: dict[str, ValueType], domain: DomainSpec) -> list[_Example]:
    source = random.Random(1)
    examples: list[_Example] = []
    for number in range(_EXAMPLES + _MORE):
        x: dict[str, Value] = {
            name: _value(source, inputs[name], number)
            for name in sorted(inputs)
            if number % 10 or source.random() < 0.5
        }
        examples.append((x, made_up_label(source, domain)))
    return examples


def _value(source: random.Random, dtype: ValueType, number: int) -> bool | int | float | str:
    is_odd = number % 50 == 49
    if dtype == "String":
        return f"unseen {number}" if is_odd else source.choice(("a", "b", "c"))
    if dtype == "Bool":
        return source.random() < 0.5
    if is_odd:
        return source.choice((-1, 1)) * (2**53 if dtype.startswith("Int") else GREATEST)
    return source.randrange(100) if dtype.startswith("Int") else source.gauss(0.0, 1.0)
