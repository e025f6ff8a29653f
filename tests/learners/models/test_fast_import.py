"""What river has once `headrace.learners.models.fast_import` is there."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import headrace.learners.models.fast_import
from river import linear_model, preprocessing, stream
heavy = {"sklearn", "sqlalchemy", "pandas"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from river.stream import iter_sklearn_dataset
from sklearn import datasets
assert len(list(iter_sklearn_dataset(datasets.load_iris()))) == 150
assert stream.iter_sql.__module__ == "river.stream.iter_sql"
assert not hasattr(stream, "iter_vaex")
assert not hasattr(stream, "iter_nothing")
"""


def test_what_river_imports_for_data_of_others_is_imported_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
