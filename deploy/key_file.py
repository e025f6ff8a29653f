"""The file of the model key in the data directory, for processes of one machine."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from headrace.schemas.errors import SettingsError

KEY_BYTES: Final = 32
_LEAST_BYTES = 16  # as of the first versions


def read_key(file: Path) -> bytes | None:
    """Read the key; None when there is no file.

    Raises
    ------
    SettingsError
        When the file cannot be read, or what is in it is too short.
    """
    try:
        key = file.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; correct its rights") from error
    if len(key) < _LEAST_BYTES:
        raise SettingsError(
            f"{file} has {len(key)} bytes, wanted {_LEAST_BYTES} or more; remove it, and "
            "`headrace up` makes another (models that were signed with it are then trained again)"
        )
    return key


def make_key(file: Path) -> None:
    """Write a new key, readable by its owner alone: whole, or not at all. A key that is there stays."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(KEY_BYTES))
            opened.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
