"""The table of what follows from what, from the one that hashes and `headrace plan` are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from headrace.schemas.follows_from import FOLLOWS_FROM, StoredThing


def follows_table() -> str:
    """Return a row of Markdown for the fields of a definition from which the same things follow."""
    things = get_args(StoredThing)
    head = ["definition", "fields", *things]
    return "\n".join([_row(head), _row(["---"] * len(head)), *_rows()])


def _rows() -> Iterator[str]:
    for spec, fields in FOLLOWS_FROM.items():
        groups: dict[frozenset[StoredThing], list[str]] = {}
        for field, followers in fields.items():
            groups.setdefault(followers, []).append(f"`{field}`")
        for followers, names in groups.items():
            marks = ["x" if thing in followers else "" for thing in get_args(StoredThing)]
            yield _row([f"`{spec.__name__}`", ", ".join(names), *marks])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(follows_table())
