r"""Text of others, as it may be printed: on a terminal, in a log, in an error.

Control characters move cursors, colour, retitle and clear terminals; line ends forge lines of a log;
characters of direction show text in another order than it is read in.
"""

from __future__ import annotations

import json


def printable(text: str) -> str:
    r"""Return a text in one line, with every character escaped that is not printed as itself.

    The escapes are JSON's, so that JSON stays JSON.

    Examples
    --------
    >>> print(printable("Zürich"), printable("a\nb\x1b[2J\u202e"))
    Zürich a\nb\u001b[2J\u202e
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    r"""Return a text of several lines with each escaped, and all but the first indented.

    No line can be taken for one of a log's own.

    Examples
    --------
    >>> print(printable_lines("ValueError: no\nINFO all is well\r"))
    ValueError: no
      INFO all is well\r
    """
    return "\n  ".join(printable(line) for line in text.split("\n"))


def _escaped(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]
