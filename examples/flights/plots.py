"""The figures of the report, each as SVG for a page."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.flights.comparison import arms_of
from examples.flights.scores import calibration, roc_auc
from examples.flights.times import HOUR_MS

PALETTE = ("#8a8f98", "#e08a2e", "#2f7ed8", "#2ca58d", "#b5489b", "#c9b037")
WINDOW = 5_000
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": "#4a5058",
    "xtick.color": "#6a7078",
    "ytick.color": "#6a7078",
    "axes.grid": True,
    "grid.color": "#e7e9ec",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "headrace",  # the same page for the same run
}


def traffic_share(examples: pd.DataFrame) -> str:
    """Plot the share of answers per arm and day."""
    arms = arms_of(examples)
    days = _days(examples["ts_ms"])
    table = pd.crosstab(days, examples["chosen"], normalize="index").reindex(columns=arms, fill_value=0.0)
    figure, axes = _figure(height=3.2)
    axes.stackplot(table.index, table.to_numpy().T, labels=arms, colors=PALETTE[: len(arms)], alpha=0.9)
    axes.set(ylabel="share of answers", ylim=(0, 1), xlim=(table.index[0], table.index[-1]))
    return _svg(figure, axes)


def rolling_auc(examples: pd.DataFrame) -> str:
    """Plot the AUC of every arm over the latest labels, in the order they came."""
    figure, axes = _figure(height=3.6)
    window = min(WINDOW, max(len(examples) // 4, 2))
    ends = np.unique(np.linspace(window, len(examples), 160).astype(int))
    times = pd.to_datetime(examples["label_ts_ms"].to_numpy()[ends - 1], unit="ms")
    labels = examples["label"].to_numpy(np.float64)
    for arm, colour in zip(arms_of(examples), PALETTE, strict=False):
        scores = examples[f"score.{arm}"].fillna(0.5).to_numpy(np.float64)
        values = [roc_auc(labels[end - window : end], scores[end - window : end]) for end in ends]
        axes.plot(times, values, label=arm, color=colour, linewidth=1.8)
    axes.set(ylabel=f"AUC, last {window:,} labels")
    return _svg(figure, axes)


def calibration_curves(examples: pd.DataFrame) -> str:
    """Plot the observed share of delays against the mean score, in tenths of the flights."""
    figure, axes = _figure(width=5.2, height=4.4)
    axes.plot([0, 1], [0, 1], color="#b6bcc4", linewidth=1, linestyle="--")
    labels = examples["label"].to_numpy(np.float64)
    top = 0.0
    for arm, colour in zip(arms_of(examples), PALETTE, strict=False):
        scores = examples[f"score.{arm}"].to_numpy(np.float64)
        answered = ~np.isnan(scores)
        predicted, observed, _ = calibration(labels[answered], scores[answered])
        axes.plot(predicted, observed, marker="o", markersize=4, label=arm, color=colour, linewidth=1.4)
        top = max(top, *predicted, *observed)
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top * 1.05), ylim=(0, top * 1.05))
    return _svg(figure, axes)


def label_delay(examples: pd.DataFrame) -> str:
    """Plot the hours of event time from prediction to label."""
    hours = (examples["label_ts_ms"] - examples["ts_ms"]) / HOUR_MS
    figure, axes = _figure(width=5.2, height=4.4)
    axes.hist(hours.clip(upper=14), bins=np.arange(0, 14.25, 0.25).tolist(), color="#2f7ed8", alpha=0.85)
    median = float(hours.median())
    axes.axvline(median, color="#e08a2e", linewidth=1.5, label=f"median {median:.1f} h")
    axes.set(xlabel="hours from prediction to label (14 and more in the last)", ylabel="flights")
    return _svg(figure, axes)


def _days(ts_ms: pd.Series) -> pd.Series:
    return pd.to_datetime(ts_ms, unit="ms").dt.floor("D")


def _figure(width: float = 10.6, height: float = 3.4) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Figure, axes: Axes) -> str:
    with mpl.rc_context(STYLE):
        axes.legend(loc="best", fontsize=9)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
