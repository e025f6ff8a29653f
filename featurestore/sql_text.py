"""Names and texts quoted for DuckDB's SQL."""

from __future__ import annotations


def quoted_name(name: str) -> str:
    """Quote the name of a column or a table.

    >>> quoted_name('size "XL"')
    '"size ""XL\"""'
    """
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Quote a string constant.

    >>> print(quoted_text("O'Hare"))
    'O''Hare'
    """
    return "'" + text.replace("'", "''") + "'"
