"""The udfs of stream views: loaded where a view has one; the others need neither Feast nor pandas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import StreamViewSpec

if TYPE_CHECKING:
    from types import FunctionType

    from headrace.schemas.plan import Plan
    from headrace.streams.intake.udf import Transform


def transforms_of(plan: Plan, views: Iterable[StreamViewSpec], repo_dir: Path | None) -> dict[str, Transform]:
    """Load the executors of udfs, by view; empty where none of `views` has a udf.

    Parameters
    ----------
    plan
        The plan in force, whose udfs the repository must have.
    views
        Stream views that are computed.
    repo_dir
        The Feast repository; None where no view is expected to need it.

    Raises
    ------
    HeadraceError
        When a view has a udf and no repository was named.
    PlanError
        When the repository has another udf than the plan.
    """
    repository = udf_repository(views, repo_dir)
    if repository is None:
        return {}
    from headrace.featurestore.udfs.loading import load_udfs

    return load_udfs(repository, plan)


def functions_of(
    plan: Plan, views: Iterable[StreamViewSpec], repo_dir: Path | None
) -> dict[str, FunctionType]:
    """Load the functions of udfs, by view. Parameters and errors are those of `transforms_of`."""
    repository = udf_repository(views, repo_dir)
    if repository is None:
        return {}
    from headrace.featurestore.udfs.loading import udf_functions

    return udf_functions(repository, plan)


def udf_repository(views: Iterable[StreamViewSpec], repo_dir: Path | None) -> Path | None:
    """Return the Feast repository where one of these views has a udf; None where none has.

    Raises
    ------
    HeadraceError
        When a view has a udf and no repository was named.
    """
    names = [view.name for view in views if view.udf is not None]
    if names and repo_dir is None:
        raise HeadraceError(f"view '{names[0]}' has a udf, and no repository was named that has it; name it")
    return repo_dir if names else None
