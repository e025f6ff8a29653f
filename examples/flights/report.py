"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from examples.flights.comparison import Result, compare, score_arms
from examples.flights.counts import Counts

QUALITY = {
    "flights": "flights in the table; one prediction is asked for each",
    "without_departure": "never departed: no event, and no label",
    "without_arrival_delay": "have no arrival delay (cancelled, diverted): no label, prediction censored",
    "departed_but_never_labelled": "of these departed and were diverted: a departure event, no arrival event",
    "without_tail_number": 'have no tail number: asked as "UNKNOWN", which no view knows',
    "arrivals_scheduled_for_the_next_day": "are scheduled to arrive on the day after their departure",
    "ambiguous_or_skipped_local_times": (
        "scheduled local times fall into an hour that daylight saving time repeats or skips"
    ),
    "departure_clock_disagrees": "departures whose clock reading differs from schedule plus delay",
    "arrival_clock_disagrees": (
        "arrivals whose clock reading differs from schedule plus delay; the delay is taken (this one landed "
        "in the night of the change to daylight saving time, and its reading ignores it)"
    ),
    "arrived_before_air_time_passed": "would have arrived before their air time had passed",
    "taxi_above_180_minutes": (
        "spent more than three hours neither flying nor at a gate; kept, since their label only comes later"
    ),
    "median_taxi_minutes": "minutes from gate to gate beyond air time, in the median",
}
STYLE = """
:root { --ink: #22262b; --soft: #6a7078; --line: #e7e9ec; --blue: #2f7ed8; }
body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: #f6f7f9; margin: 0; }
main { max-width: 1060px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; margin: 0 0 4px; letter-spacing: -0.02em; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 4px 0 12px; color: var(--soft); max-width: 75ch; }
section, .tile { background: #fff; border: 1px solid var(--line); border-radius: 12px; }
section { padding: 22px 26px; margin-top: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; }
.tiles { margin-top: 22px; }
.tile { padding: 14px 18px; }
.tile b { display: block; font-size: 24px; letter-spacing: -0.02em; }
.tile span { color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; }
.pair section { margin-top: 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
tr.best td { font-weight: 600; color: var(--blue); }
.bad { color: #b3261e; }
svg { width: 100%; height: auto; }
@media (max-width: 800px) { .pair { grid-template-columns: 1fr; } }
"""


@dataclass(frozen=True)
class Run:
    """Figures of a replay, besides its examples.

    Attributes
    ----------
    quality
        Counts of flawed records, by flaw.
    counts
        Counts of the stages.
    problems
        Counts that do not add up.
    """

    title: str
    seconds: float
    events: int
    predictions: int
    quality: Mapping[str, int]
    counts: Counts = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def render(examples: pd.DataFrame, run: Run) -> str:
    """Render the page of a run, from examples with the columns of `example_archive.read_examples`.

    A year that goes beyond September gets the comparison with batch models, which takes a minute.
    """
    from examples.flights import plots  # with matplotlib, which nobody needs before

    results, compared = score_arms(examples), compare(examples)
    parts = [
        f"<h1>{html.escape(run.title)}</h1>",
        "<p>Will this flight arrive 15 or more minutes late? Asked one hour before its scheduled departure; "
        "answered with what was known then; learned from when it landed.</p>",
        _tiles(examples, run, results),
        _section(
            "Arms",
            "Scores as served, before the label came, over the whole run.",
            _results(results),
        ),
    ]
    if compared:
        note = (
            "Everything on the flights of October to December. Batch models were trained on all labels of "
            "January to September at once; the arms learned each label once, as it came."
        )
        parts.append(_section("The honest comparison", note, _results(compared)))
    parts += [
        _section("Traffic", "Share of answers per day, by Thompson sampling.", plots.traffic_share(examples)),
        _section("Ranking", "Rolling area under the ROC curve.", plots.rolling_auc(examples)),
        '<div class="pair">',
        _section("Calibration", "Does it happen as often as said?", plots.calibration_curves(examples)),
        _section("Label delay", "How long an answer waits for its truth.", plots.label_delay(examples)),
        "</div>",
        _section("Counts", _count_note(run), _counts(run.counts)),
        _section("Data quality", "The records, and what was done with them.", _quality(run.quality)),
    ]
    head = f"<meta charset='utf-8'><title>{html.escape(run.title)}</title><style>{STYLE}</style>"
    return (
        f"<!doctype html><html lang='en'><head>{head}</head><body><main>{''.join(parts)}</main></body></html>"
    )


def _tiles(examples: pd.DataFrame, run: Run, results: list[Result]) -> str:
    best = max(results, key=lambda result: result.auc)
    tiles = {
        "events": f"{run.events:,}",
        "predictions": f"{run.predictions:,}",
        "labels learned": f"{len(examples):,}",
        "minutes": f"{run.seconds / 60:.1f}",
        "events/s": f"{run.events / run.seconds:,.0f}",
        f"best AUC: {best.name}": f"{best.auc:.3f}",
    }
    cells = (f"<div class='tile'><b>{value}</b><span>{name}</span></div>" for name, value in tiles.items())
    return f"<div class='tiles'>{''.join(cells)}</div>"


def _section(title: str, note: str, body: str) -> str:
    return f"<section><h2>{title}</h2><p>{note}</p>{body}</section>"


def _results(results: list[Result]) -> str:
    best = max(results, key=lambda result: result.auc)
    rows = (
        (
            result.name,
            f"{result.log_loss:.4f}",
            f"{result.auc:.4f}",
            f"{result.calibration_error:.4f}",
            "-" if result.traffic != result.traffic else f"{result.traffic:.1%}",
        )
        for result in results
    )
    head = ("", "log loss", "ROC AUC", "calibration error", "traffic")
    return _table(head, rows, best=best.name)


def _count_note(run: Run) -> str:
    if not run.problems:
        return "A record in is a record out: everything adds up."
    return f"<span class='bad'>{html.escape('; '.join(run.problems))}</span>"


def _counts(counts: Counts) -> str:
    rows = (
        (stage, "  ".join(f"{outcome} {count:,}" for outcome, count in outcomes.items()))
        for stage, outcomes in counts.items()
    )
    return _table(("stage", "records"), rows)


def _quality(quality: Mapping[str, int]) -> str:
    rows = ((QUALITY.get(name, name), f"{count:,}") for name, count in quality.items())
    return _table(("what", "records"), rows)


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]], best: str = "") -> str:
    """Render a table, in which the row whose first cell is `best` stands out."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        lines.append(f"<tr{' class=best' if row[0] == best else ''}>{cells}</tr>")
    return f"<table><tr>{titles}</tr>{''.join(lines)}</table>"
