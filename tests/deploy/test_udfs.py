"""The repository of udfs is needed for views that have one, and for those alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.udfs import udf_repository
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FieldSpec, StreamViewSpec, UdfSpec


def view(name: str, udf: UdfSpec | None = None) -> StreamViewSpec:
    key = FieldSpec(name="user", dtype="String")
    return StreamViewSpec(name=name, source="clicks", join_keys=(key,), aggregations=(), udf=udf)


UDF = UdfSpec(source="def doubled(df): ...", inputs=(), outputs=())


def test_views_without_a_udf_need_no_repository() -> None:
    assert udf_repository([view("plain")], None) is None
    assert udf_repository([view("plain")], Path("repo")) is None


def test_a_view_with_a_udf_needs_the_repository() -> None:
    assert udf_repository([view("plain"), view("doubled", UDF)], Path("repo")) == Path("repo")
    with pytest.raises(HeadraceError, match="view 'doubled' has a udf, and no repository was named"):
        udf_repository([view("plain"), view("doubled", UDF)], None)


def test_without_a_udf_neither_feast_nor_pandas_is_imported() -> None:
    program = (
        "import sys; from headrace.deploy.udfs import functions_of, transforms_of\n"
        "from headrace.schemas.plan import Plan\n"
        "plan = Plan(project='p')\n"
        "assert transforms_of(plan, [], None) == functions_of(plan, [], None) == {}\n"
        "print([name for name in ('feast', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
