"""The lines of definitions are found in their text, however they are written."""

from __future__ import annotations

import pytest

from headrace.featurestore.feast_repo.definition_lines import DefinitionLines

TEXT = """\
from feast import Entity
user = Entity(name="customer")
user = Entity(
    name="customer",
)
if True:
    try:
        shop: Entity = Entity(name="shop")
    except ValueError:
        shop = None
    first, second = Entity(name="one"), Entity(name="two")


@on_demand(
    sources=[],
)
def ratios(df):
    ratio = Entity(name="inside")
    return df


class Kept:
    place = Entity(name="held")


LEARNERS = [
    Learner("base", None),
    Learner(name="line", model=None),
]
for name in ("a", "b"):
    globals()[name] = Entity(name=name)
"""


@pytest.mark.parametrize(
    ("name", "attribute", "line"),
    [
        ("customer", "user", 3),  # the last one is what the module has
        ("shop", "shop", 10),
        ("two", "second", 11),
        ("ratios", "ratios", 14),
        ("inside", "ratio", 18),
        ("held", "place", 23),
        ("base", None, 27),
        ("line", None, 28),
        ("a", "a", None),
    ],
)
def test_the_line_of_a_definition(name: str, attribute: str | None, line: int | None) -> None:
    assert DefinitionLines(TEXT).of(name, attribute) == line


def test_of_what_is_no_python_no_line_is_known() -> None:
    assert DefinitionLines("user = (").of("user", "user") is None
    assert DefinitionLines("\0").of("user", "user") is None
