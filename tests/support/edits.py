"""Definitions that a test changes, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import DefinitionError

Replace = Callable[[str, str], None]
Append = Callable[[str], None]
WriteUdf = Callable[..., None]
GOOD_UDF = """
    df = df[df["seats"] > LEAST]
    df["hours"] = in_hours(df["dep_delay"])
    return df.sort_values("note")
"""


def objection(repo: Path) -> DefinitionError:
    """Why the first definition is left out of a repository that compiles."""
    return compile_features(repo).left_out[0]


def refusal(repo: Path) -> DefinitionError:
    """The error of a repository that does not compile."""
    with pytest.raises(DefinitionError) as caught:
        compile_features(repo)
    return caught.value
