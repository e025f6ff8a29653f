"""Every object of a Feast repository with what becomes of it: the facts of the compilation, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.feature_view import DUMMY_ENTITY_NAME

from headrace.featurestore.compile.definition import CannotRun, object_name
from headrace.featurestore.compile.differences import Differences
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.schemas.errors import DefinitionError, place

Outcome = Literal["runs", "runs with a difference", "cannot"]
ORDER = (
    "entities",
    "data_sources",
    "stream_feature_views",
    "feature_views",
    "on_demand_feature_views",
    "label_views",
    "feature_services",
    "permissions",
)


@dataclass(frozen=True)
class Verdict:
    """What becomes of one object.

    Attributes
    ----------
    kind
        Its class, as the user writes it.
    file
        The file that defines it, empty where none does.
    line
        The line there; None where it is not known.
    why
        What is different, or what keeps it from running, with the remedy; empty of what runs as in Feast.
    refused
        Whether `headrace apply` refuses the repository for it. What only cannot run is left out.
    """

    kind: str
    name: str
    file: str
    outcome: Outcome = "runs"
    why: tuple[str, ...] = ()
    refused: bool = False
    line: int | None = None

    @property
    def place(self) -> str:
        """File and line."""
        return place(self.file, self.line)


def verdicts(parts: FeatureParts) -> tuple[Verdict, ...]:
    """Return the verdict of each object, in the order of `ORDER` and then of names.

    Errors of something else, such as a writer schema, follow as verdicts of their own.

    Parameters
    ----------
    parts
        A repository as it was surveyed, with its errors.
    """
    contents = parts.repository.contents
    items = [item for kind in ORDER for item in _unique(getattr(contents, kind))]
    repository = parts.repository
    return tuple(tell(items, parts.left_out, repository.files, parts.differences, repository.lines))


def tell(
    items: Iterable[Any],
    errors: Iterable[DefinitionError],
    files: Mapping[int, str],
    differences: Differences | None = None,
    lines: Mapping[int, int] | None = None,
) -> Iterator[Verdict]:
    """Yield the verdict of each object, and of each error that is about none of them.

    Parameters
    ----------
    items
        Objects with a name, of Feast or of learners.
    files, differences, lines
        By the `id` of the object.
    """
    rest = list(errors)
    for item in items:
        names = object_names(item)
        own = [error for error in rest if is_about(error, names)]
        rest = [error for error in rest if error not in own]
        file, line = files.get(id(item), ""), (lines or {}).get(id(item))
        if own:
            file, line = own[0].file, own[0].line
        yield judge(type(item).__name__, item.name, file, own, (differences or {}).get(id(item), ()), line)
    for error in rest:
        yield judge(*_kind_and_name(error), error.file, [error], line=error.line)


def judge(
    kind: str,
    name: str,
    file: str,
    errors: Iterable[DefinitionError],
    differences: Iterable[str] = (),
    line: int | None = None,
) -> Verdict:
    """Make the verdict of an object of its errors, or of what is different where there are none.

    >>> judge("Entity", "driver", "repo.py", []).outcome
    'runs'
    """
    if errors := list(errors):
        why = tuple(_text(name, error) for error in errors)
        refused = any(not isinstance(error, CannotRun) for error in errors)
        return Verdict(kind, name, file, "cannot", why, refused, line)
    why = tuple(differences)
    outcome: Outcome = "runs with a difference" if why else "runs"
    return Verdict(kind, name, file, outcome, why, line=line)


def object_names(item: Any) -> tuple[str, ...]:
    """Return the names that errors have for one of Feast's objects."""
    if type(item).__name__.endswith("Source"):
        return (f"data source '{item.name}'", f"Kafka source '{item.name}'")
    return (object_name(item),)


def is_about(error: DefinitionError, names: Iterable[str]) -> bool:
    """Whether an error is of an object of one of these names, or of a part of it."""
    return any(error.name == name or error.name.startswith(f"{name}, ") for name in names)


def _unique(items: Iterable[Any]) -> list[Any]:
    """One object of each name, in their order, without Feast's own."""
    by_name: dict[str, Any] = {}
    for item in items:
        if item.name != DUMMY_ENTITY_NAME:
            by_name.setdefault(item.name, item)
    return [by_name[name] for name in sorted(by_name)]


def _text(name: str, error: DefinitionError) -> str:
    """Problem and remedy, with the part of the object that they are about."""
    _, _, part = error.name.partition(f"'{name}', ")
    return f"{part + ': ' if part else ''}{error.problem}. {error.remedy}"


def _kind_and_name(error: DefinitionError) -> tuple[str, str]:
    """Kind and name of what an error is about.

    >>> _kind_and_name(DefinitionError("a.py", "writer schema '7'", "no", "Mend it"))
    ('writer schema', '7')
    """
    kind, quote, name = error.name.partition(" '")
    return (kind, name.removesuffix("'")) if quote else ("", error.name)
