"""The repository of stream views' udfs, without importing Feast for views that have none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import StreamViewSpec


def udf_repository(views: Iterable[StreamViewSpec], repo_dir: Path | None) -> Path | None:
    """Return the Feast repository where one of these views has a udf; None where none has.

    Raises
    ------
    HeadraceError
        When a view has a udf and no repository was named.
    """
    with_udf = [view.name for view in views if view.udf is not None]
    if with_udf and repo_dir is None:
        raise HeadraceError(
            f"view '{with_udf[0]}' has a udf, and no repository was named that has it; name it"
        )
    return repo_dir if with_udf else None
