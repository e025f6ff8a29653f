"""Loads the udfs of a plan from the repository that the plan was compiled from.

The repository's Python files are run, as `train` and `serve` run its ``learners.py``. The pickle of the
function in Feast's registry is never loaded: anyone who can write to a registry could run code here.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import FunctionType
from typing import Any

from headrace.featurestore.feast_repo.repository import read_repository
from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.featurestore.udfs.source import udf_source
from headrace.schemas.errors import PlanError
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform


def udf_of(view: Any) -> Any:
    """The udf of Feast's view, in whichever way it was declared; None where it has none."""
    transformation = view.feature_transformation
    return view.udf if transformation is None else transformation.udf


def load_udfs(repo_dir: Path, plan: Plan) -> dict[str, Transform]:
    """Executors of the udfs of the plan's stream views, by the name of the view; see `udf_functions`."""
    views = {view.name: view for view in plan.stream_views}
    return {
        name: PandasUdf.of(views[name], plan.source(views[name].source), function)
        for name, function in udf_functions(repo_dir, plan).items()
    }


def udf_functions(repo_dir: Path, plan: Plan) -> dict[str, FunctionType]:
    """Functions of the plan's stream views that have a udf, by the name of the view.

    Raises
    ------
    DefinitionError
        When the repository cannot be read.
    PlanError
        When a udf of the repository is not the one of the plan.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        repository = read_repository(repo_dir)
    views = {view.name: view for view in repository.contents.stream_feature_views}
    return {
        spec.name: _function(views.get(spec.name), spec, repo_dir)
        for spec in plan.stream_views
        if spec.udf is not None
    }


def _function(view: Any, spec: StreamViewSpec, repo_dir: Path) -> FunctionType:
    assert spec.udf is not None
    function = None if view is None else udf_of(view)
    if not isinstance(function, FunctionType) or udf_source(function, repo_dir) != spec.udf.source:
        raise PlanError(
            f"{repo_dir}: the udf of stream feature view '{spec.name}' is not the one of the plan "
            f"({spec.udf.digest}); run `headrace apply`, or bring the repository that was applied"
        )
    return function
