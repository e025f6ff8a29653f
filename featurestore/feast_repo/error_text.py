"""What Feast says of a configuration that it cannot read, without the values: they may be passwords."""

from __future__ import annotations

from collections.abc import Iterator

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.streams.connections.url_accounts import without_secrets


def error_text(error: BaseException) -> str:
    """Return the text of an error of Feast, of YAML or of a library of Feast's, in one line, without secrets.

    YAML shows the line of the file, and pydantic what it was given: neither is shown.

    Examples
    --------
    >>> try:
    ...     yaml.safe_load("a: 1\\npath: 'sql://me:secret")
    ... except yaml.YAMLError as error:
    ...     error_text(error)
    'line 2, column 7: found unexpected end of stream while scanning a quoted scalar'
    """
    for cause in _causes(error):
        if isinstance(cause, ValidationError):
            text = "; ".join(map(_problem, cause.errors(include_url=False, include_context=False)))
            break
        if isinstance(cause, yaml.MarkedYAMLError):
            text = f"{cause.problem} {cause.context or ''}"
            if (mark := cause.context_mark or cause.problem_mark) is not None:
                text = f"line {mark.line + 1}, column {mark.column + 1}: {text}"
            break
    else:
        text = str(error)
    return without_secrets(" ".join(text.split()))


def _problem(error: ErrorDetails) -> str:
    """Return path and message; the value only where it was to be one of some words."""
    shown = f", not {error['input']!r}" if error["type"] in ("enum", "literal_error") else ""
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}{shown}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
