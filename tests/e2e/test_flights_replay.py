"""The whole loop on two days of real flights, twice: results do not depend on how fast anything was."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from tests.support.paths import ROOT

PROCESSES = ("worker", "join", "train", "serve")


def run_demo(data_dir: Path, disturb: bool) -> pd.DataFrame:
    """Two days of the demo in a data directory of its own; the examples it led to."""
    environment = os.environ | {"HEADRACE_DATA_DIR": str(data_dir), "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-m", "examples.flights.demo", "--days", "2"]
    demo = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    over = threading.Event()
    tormentor = threading.Thread(target=torment, args=(demo.pid, over))
    if disturb:
        tormentor.start()
    output, _ = demo.communicate()
    over.set()
    if disturb:
        tormentor.join()
    assert demo.returncode == 0, output
    assert re.search(r"3,668 events, 1,785 predictions, 1,759 labels", output), output
    assert re.search(r"audit of 500 predictions: 14,500 equal, 0 different, 0 missing", output), output
    from headrace.streams.join.example_archive import read_examples

    return read_examples(data_dir / "examples" / "delays").to_pandas().set_index("example_id")


def torment(demo: int, over: threading.Event) -> None:
    """Stop the loop's processes for a moment, one after the other, as a busy machine does."""
    rng = random.Random(4)
    while not over.wait(rng.random() / 10):
        child = rng.choice(children(demo) or [None])
        if child is None:
            continue
        try:
            os.kill(child, signal.SIGSTOP)
            over.wait(rng.choice([0.02, 0.05, 0.2]))
            os.kill(child, signal.SIGCONT)
        except ProcessLookupError:
            continue


def children(parent: int) -> list[int]:
    """Pids of the demo's own processes of the loop, no others of this machine."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and any(name.encode() in words for name in PROCESSES):
            found.append(int(stat.parent.name))
    return found


@pytest.mark.usefixtures("servers")
def test_two_runs_give_the_same_features_examples_scores_and_choices(tmp_path):
    smooth = run_demo(tmp_path / "smooth", disturb=False)
    rough = run_demo(tmp_path / "rough", disturb=True)
    assert list(smooth.index) == list(rough.index)
    for column in smooth.columns.union(rough.columns):
        pd.testing.assert_series_equal(smooth[column], rough[column], check_exact=True)
    assert smooth["epoch"].nunique() > 1
    assert smooth["version.binned_regression"].nunique() > 10
