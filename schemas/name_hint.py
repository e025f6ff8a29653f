"""The hint that ends a message about a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def name_hint(name: str, names: Iterable[str], listed_as: str = "known") -> str:
    """Return the nearest name, or all of them where none is near.

    Examples
    --------
    >>> name_hint("amout", ["user", "amount"])
    "did you mean 'amount'?"
    >>> name_hint("x", ["user", "amount"])
    'known: amount, user'
    """
    import difflib  # only for messages

    ordered = sorted(names)
    near = difflib.get_close_matches(name, ordered, n=1)
    return f"did you mean '{near[0]}'?" if near else f"{listed_as}: {', '.join(ordered) or 'none'}"
