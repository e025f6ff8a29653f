"""Text of others is printed in one line and as it is read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.printable import printable, printable_lines

ANY = st.text(st.characters(), max_size=30)  # with surrogates


@given(ANY)
def test_what_is_printed_is_printable_and_tells_the_text(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()


@given(ANY)
def test_json_stays_json(text: str) -> None:
    assert json.loads(printable(json.dumps(text))) == text


@given(ANY)
def test_no_line_of_several_begins_as_one_of_a_log(text: str) -> None:
    first, *more = printable_lines(text).split("\n")
    assert first.isprintable()
    assert all(line.isprintable() and line.startswith("  ") for line in more)
