"""Files that hold secrets and that every user of the machine can read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from headrace.deploy.settings import Settings
from headrace.deploy.settings_file import FILE

_SECRET_WORDS = ("password", "secret", "token", "model_key", "plan_key", "://")
_FILES_OF_KEYS = ("ssl.key.location", "ssl.keystore.location")


def exposed_secrets(settings: Settings) -> list[str]:
    """Return a warning, with the remedy, for each file of a project's secrets that others can read.

    Files are ``headrace.toml`` and `kafka_config` where they have a password, a key or a URL with an account,
    files of keys that `kafka_config` names, and ``model.key``. On a system without users there are none.
    """
    return [
        f"{file} holds secrets, and every user of this machine can read it: chmod o-rwx {file}"
        for file in dict.fromkeys(_files(settings))
        if _others_read(file)
    ]


def _files(settings: Settings) -> Iterator[Path]:
    if _holds_secret(settings.project_dir / FILE):
        yield settings.project_dir / FILE
    yield settings.data / "model.key"
    if (kafka := settings.kafka_config) is None:
        return
    if _holds_secret(kafka):
        yield kafka
    for line in _lines(kafka):
        name, _, value = (part.strip() for part in line.partition("="))
        if name in _FILES_OF_KEYS:
            yield Path(value)


def _holds_secret(file: Path) -> bool:
    return any(
        word in line and (word != "://" or "@" in line)
        for line in _lines(file)
        for word in _SECRET_WORDS
        if not line.lstrip().startswith("#")
    )


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines() if file.is_file() else []
    except OSError:
        return []


def _others_read(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
