"""What river has once `headrace.learners.models.fast_import` is there."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import headrace.learners.models.fast_import
from river import linear_model, preprocessing, stream
heavy = {"sklearn", "sqlalchemy", "pandas", "scipy.stats"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from river.stream import iter_sklearn_dataset
from sklearn import datasets
assert len(list(iter_sklearn_dataset(datasets.load_iris()))) == 150
assert stream.iter_sql.__module__ == "river.stream.iter_sql"
assert not hasattr(stream, "iter_vaex")
assert not hasattr(stream, "iter_nothing")
"""


OF_STATS = """
import sys
import headrace.learners.models.fast_import
from river import drift, proba, tree
assert "scipy.stats" not in sys.modules
from river.tree.stochastic_gradient_tree import f_dist
normal, window = proba.MultivariateGaussian(seed=7), drift.KSWIN(seed=7, window_size=20, stat_size=10)
for a, b in ((0.1, 2.0), (0.4, 1.0), (0.2, 5.0)):
    normal.update({"a": a, "b": b})
moved = [window.update(number // 30 * 5.0 + number % 3) or window.drift_detected for number in range(60)]
assert any(moved[30:]) and not any(moved[:30]), moved
found = normal({"a": 0.2, "b": 3.0}), normal.cdf({"a": 0.2, "b": 3.0}), f_dist.cdf(3.0, 1, 9)
assert set(normal.sample()) == {"a", "b"}
from scipy import stats
covariance = [[normal.var[m][n] for n in "ab"] for m in "ab"]
true = stats.multivariate_normal([normal.mu[n] for n in "ab"], covariance)
assert abs(found[0] - true.pdf([0.2, 3.0])) < 1e-9 * found[0]
assert abs(found[1] - true.cdf([0.2, 3.0])) < 1e-3
assert found[2] == stats.f.cdf(3.0, 1, 9)
"""


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_river_imports_for_data_of_others_is_imported_when_it_is_used() -> None:
    run(PROGRAM)


def test_what_river_takes_of_scipys_statistics_is_what_they_are() -> None:
    run(OF_STATS)
