"""Model cards [1]_: what a version is, of what it was made, how good it is, and what it is not for.

References
----------
.. [1] Mitchell et al. (2019). Model cards for model reporting. https://doi.org/10.1145/3287560.3287596
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from headrace.featurestore.plans.safety import kind_of
from headrace.learners.lineage import View, features_of
from headrace.learners.models.history import Deed
from headrace.learners.operating.desk import ListedVersion
from headrace.schemas.plan import Plan
from headrace.schemas.printable import printable

Row = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A section of a card: sentences, and a table whose first row is its head; either may be empty."""

    title: str
    sentences: Sequence[str] = ()
    table: Sequence[Row] = ()


@dataclass(frozen=True)
class ModelCard:
    """The card of a version."""

    title: str
    sections: Sequence[Section]


def card_of(plan: Plan, listed: ListedVersion, deeds: Sequence[Deed] = ()) -> ModelCard:
    """Return the card of a version.

    Parameters
    ----------
    plan
        The plan in force.
    deeds
        What operators did with its learner.
    """
    version = listed.published
    sections = [
        _definition(plan, listed),
        _data(plan, listed),
        _features(plan, version.name),
        *_metrics(version.metrics),
        _lineage(listed, deeds),
        _limits(plan, listed),
    ]
    return ModelCard(f"{version.name}@{version.version}", sections)


def to_markdown(card: ModelCard) -> str:
    """Return a card as Markdown."""
    lines = [f"# {card.title}"]
    for section in card.sections:
        lines += ["", f"## {section.title}", "", *section.sentences]
        if section.table:
            head, *rows = ([_cell(cell) for cell in row] for row in section.table)
            lines += ["", *map(_line, (head, ["---"] * len(head), *rows))]
    return "\n".join(lines) + "\n"


def to_html(card: ModelCard) -> str:
    """Return a card as one page of HTML, which loads nothing."""
    parts = [f"<!doctype html><meta charset=utf-8><title>{escape(card.title)}</title>", _STYLE]
    parts.append(f"<h1>{escape(card.title)}</h1>")
    for section in card.sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts += [f"<p>{escape(printable(sentence))}</p>" for sentence in section.sentences]
        if section.table:
            parts.append(f"<table>{''.join(_html_rows(section.table))}</table>")
    return "\n".join(parts) + "\n"


_STYLE = "<style>body{font:16px sans-serif;margin:2em}td,th{padding:.2em 1em;text-align:left}</style>"


def _definition(plan: Plan, listed: ListedVersion) -> Section:
    spec, version = plan.learner(listed.published.name), listed.published
    is_current = version.definition == spec.definition
    state = "It serves." if listed.serves else "It does not serve now."
    now = "of the plan in force" if is_current else "of a plan that is not in force any more"
    return Section(
        "Definition",
        [f"A learner of the target '{spec.target}', {now}. {state}"],
        (
            ("what", "value"),
            ("definition", version.definition),
            ("feature service", spec.service or "none"),
            ("request fields", ", ".join(spec.request) or "none"),
            ("plan", version.plan_hash),
            *((f"library {name}", number) for name, number in version.libraries.items()),
        ),
    )


def _data(plan: Plan, listed: ListedVersion) -> Section:
    version = listed.published
    router = next((one for one in plan.routers if version.name in one.arms), None)
    topic = plan.topics.router(router.name).examples if router else "of a router that is gone"
    times = f"{_moment(version.first_ms)} to {_moment(version.last_ms)}"
    return Section(
        "Data",
        [f"Examples as they were served and labelled, in the order of the topic {topic}."],
        (
            ("what", "value"),
            ("examples learned", f"{version.examples:,}"),
            ("of event time", times),
            ("before offset", f"{version.offset:,}"),
            ("not learned, as the model raised", f"{version.poisoned:,}"),
            ("not learned, as they came twice", f"{version.duplicates:,}"),
        ),
    )


def _features(plan: Plan, learner: str) -> Section:
    rows: list[Row] = [("feature", "owner", "description")]
    every: tuple[View, ...] = (*plan.stream_views, *plan.batch_views, *plan.on_demand_views)
    views = {view.name: view for view in every}
    for ref in features_of(plan, learner):
        name = f"{ref.view}:{ref.feature}"
        owner = plan.description_of(kind_of(views[ref.view]), ref.view).owner if ref.view in views else ""
        rows.append((name, owner or "none", plan.description_of("feature", name).description))
    rows += [(f"request, {name}", "the caller", "") for name in plan.learner(learner).request]
    return Section("Features", ["As the plan in force has them."], rows)


def _metrics(metrics: dict[str, Any]) -> Iterator[Section]:
    single = [(name, _figure(value)) for name, value in metrics.items() if not isinstance(value, list | dict)]
    sentence = "Of predictions made before their labels were learned, each by the version of its moment."
    yield Section("Metrics", [sentence], (("metric", "value"), *single))
    for name, value in metrics.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            head = tuple(value[0])
            rows = [tuple(_figure(one.get(key)) for key in head) for one in value]
            yield Section(f"Metrics: {name}", (), (head, *rows))
        elif isinstance(value, dict):
            rows = [(str(key), _figure(one)) for key, one in value.items()]
            yield Section(f"Metrics: {name}", (), ((name, "value"), *rows))


def _lineage(listed: ListedVersion, deeds: Sequence[Deed]) -> Section:
    version = listed.published
    rows: list[Row] = [
        ("what", "value"),
        ("parent", version.parent or "none"),
        ("published", _moment(version.created_ms)),
        ("digest of its state", version.digest),
        ("artifact", version.artifact if listed.kept else f"{version.artifact} (thinned)"),
    ]
    for deed in deeds:
        what, outcome = deed.operation, deed.outcome
        ended = "not taken up yet" if outcome is None else outcome.refused or f"{outcome.version} serves"
        which = f"{what.kind} {what.version or ''}".strip()
        rows.append((f"{_moment(what.ts_ms)} {which}", f"{what.who}: {what.why} ({ended})"))
    again = f"`headrace models replay {version.name}@{version.version}` makes it again and compares digests."
    return Section("Lineage", [again], rows)


def _limits(plan: Plan, listed: ListedVersion) -> Section:
    version = listed.published
    sentences = [
        "Metrics are of predictions as this learner would have made them, whichever arm answered.",
        f"Nothing is known of times after {_moment(version.last_ms)}, nor of inputs unlike those above.",
        "Drift: none is reported for this version; no monitor has written about it.",
    ]
    if version.examples == 0:
        sentences.append("It has learned nothing.")
    if not any(isinstance(value, dict) for value in version.metrics.values()):
        sentences.append("There are no metrics by slice.")
    if version.definition != plan.learner(version.name).definition:
        sentences.append("Its definition is not the one in force.")
    return Section("Limits", sentences)


def _figure(value: object) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _moment(ms: int | None) -> str:
    return "never" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "seconds")


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _html_rows(table: Sequence[Row]) -> Iterator[str]:
    for number, row in enumerate(table):
        tag = "td" if number else "th"
        yield f"<tr>{''.join(f'<{tag}>{escape(printable(cell))}</{tag}>' for cell in row)}</tr>"
