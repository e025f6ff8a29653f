"""`headrace init`: writes a small project that runs as it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from headrace.schemas.errors import SettingsError

_STARTER = Path(__file__).resolve().parents[1] / "starter"
_NAME = "my_project"  # stands for the project's name in the files of the starter
_HIDDEN = "gitignore"
_TABLE = Path("data") / "customers.parquet"


def write_project(folder: Path) -> list[Path]:
    """Write a project into a folder, which is made where it is missing. Nothing is overwritten.

    Parameters
    ----------
    folder
        Its name becomes the project's.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SettingsError
        When one of the files exists, or the folder's name cannot be a project's. Nothing was written.
    """
    name = _project_name(folder)
    texts = {
        folder / (f".{_HIDDEN}" if file.name == _HIDDEN else file.relative_to(_STARTER)): file.read_text()
        for file in sorted(_STARTER.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    _refuse_existing(folder, [*texts, folder / _TABLE])
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x") as opened:
            opened.write(text.replace(_NAME, name))
    _write_table(folder / _TABLE)
    return [*texts, folder / _TABLE]


def _project_name(folder: Path) -> str:
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise SettingsError(
            f"'{name}' cannot be the name of a project; name a directory of letters, digits, '-' and '_'"
        )
    return name.replace("-", "_")  # Feast takes no hyphens everywhere


def _refuse_existing(folder: Path, files: list[Path]) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"'{folder}' is a file; name a directory")
    existing = [str(file) for file in files if file.exists()]
    if existing:
        raise SettingsError(f"{', '.join(existing)}: there already, and left alone; name another directory")


def _write_table(file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known_since = datetime(2024, 1, 1, tzinfo=UTC)
    columns = {
        "customer": ["ada", "bob", "eve"],
        "years": [7, 2, 0],
        "vip": [True, False, False],
        "event_timestamp": [known_since] * 3,
    }
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), file)
