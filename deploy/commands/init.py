"""`headrace init`: writes a small project that runs as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from headrace.schemas.errors import SettingsError
from headrace.streams.durable_files import write_atomically

_STARTER = Path(__file__).resolve().parents[1] / "starter"
_NAME = "my_project"  # stands for the project's name in the files of the starter
_HIDDEN = "gitignore"
_TABLE = Path("data") / "customers.parquet"


def write_project(folder: Path) -> list[Path]:
    """Write a project into a folder, which is made where it is missing. Nothing is overwritten.

    A run that was interrupted may be repeated: files that are as they would be written are left.

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
        When another file of one of the names, or all of them, exist, or the folder's name cannot be a
        project's. Nothing was written.
    """
    name = _project_name(folder)
    contents = {folder / path: text.replace(_NAME, name).encode() for path, text in _starter().items()}
    contents[folder / _TABLE] = _table()
    _refuse_existing(folder, contents)
    for file, content in contents.items():
        write_atomically(file, content)
    return [*contents]


def _starter() -> dict[str, str]:
    """The texts of the starter, by the path that they are written to."""
    files = (
        file for file in sorted(_STARTER.rglob("*")) if file.is_file() and "__pycache__" not in file.parts
    )
    return {
        f".{_HIDDEN}" if file.name == _HIDDEN else str(file.relative_to(_STARTER)): file.read_text()
        for file in files
    }


def _project_name(folder: Path) -> str:
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise SettingsError(
            f"'{name}' cannot be the name of a project; name a directory of letters, digits, '-' and '_'"
        )
    return name.replace("-", "_")  # Feast takes no hyphens everywhere


def _refuse_existing(folder: Path, contents: Mapping[Path, bytes]) -> None:
    """Refuse files that are not as they would be written: by a run before, which was interrupted."""
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"'{folder}' is a file; name a directory")
    existing = [file for file in contents if file.exists()]
    others = [str(file) for file in existing if not file.is_file() or file.read_bytes() != contents[file]]
    if len(existing) == len(contents):
        others = [str(file) for file in existing]
    if others:
        raise SettingsError(f"{', '.join(others)}: there already, and left alone; name another directory")


def _table() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known_since = datetime(2024, 1, 1, tzinfo=UTC)
    columns = {
        "customer": ["ada", "bob", "eve"],
        "years": [7, 2, 0],
        "vip": [True, False, False],
        "event_timestamp": [known_since] * 3,
    }
    file = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), file)
    return bytes(file.getvalue().to_pybytes())
