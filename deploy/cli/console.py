"""What the command says: lines in which nothing steers the terminal."""

from __future__ import annotations

import typer

from headrace.schemas.printable import printable


def say(text: str, err: bool = False) -> None:
    """Print lines; what others have put into one is escaped (see `printable`)."""
    typer.echo("\n".join(printable(line) for line in text.split("\n")), err=err)
