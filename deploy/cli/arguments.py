"""Arguments that several commands take."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[Path, typer.Argument(help="The Feast repository with its learners.py.", show_default=".")]
HERE = Path(".")


def epoch_ms(moment: datetime | None) -> int | None:
    """Epoch milliseconds of a time on the command line, which is UTC where it names no zone.

    >>> epoch_ms(datetime(1970, 1, 2))
    86400000
    """
    return None if moment is None else round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
