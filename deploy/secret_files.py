"""Files that hold secrets and that every user of the machine can read."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from headrace.deploy.settings import Settings
from headrace.deploy.settings_file import FILE
from headrace.streams.connections.redis_url import RedisUrl

_SECRET = re.compile(
    r"(?:password|passwd|secret|token|model_key|plan_key|api_?key|access_?key|private_?key|key\.pem)[\w.]*"
    r"[\"']?\s*[=:]\s*[\"']?[^\s\"',}]|://[^\s\"']*[^\s\"'/:]@",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{?\w+\}?")
_KEY_FILE = re.compile(r"ssl\.key(?:store)?\.location|.*private\.key\.file")


def exposed_secrets(settings: Settings) -> list[str]:
    """Return a warning, with the remedy, for each file of a project's secrets that others can read.

    Files are ``headrace.toml``, ``feature_store.yaml`` and `kafka_config` where they have a password, a key
    or a URL with an account, files of keys that `kafka_config` and the URL of Redis name, and ``model.key``.
    On a system without users there are none.
    """
    return [
        f"{file} holds secrets, and every user of this machine can read it: chmod o-rwx {file}"
        for file in dict.fromkeys(_files(settings))
        if _others_read(file)
    ]


def _files(settings: Settings) -> Iterator[Path]:
    if _holds_secret(settings.project_dir / FILE):
        yield settings.project_dir / FILE
    if _holds_secret(settings.feast_file, is_expanded=True):
        yield settings.feast_file
    yield settings.data / "model.key"
    if (key := RedisUrl.parse(settings.redis).options.get("ssl_keyfile")) is not None:
        yield Path(key)
    if (kafka := settings.kafka_config) is None:
        return
    if _holds_secret(kafka):
        yield kafka
    for line in _lines(kafka):
        name, _, value = (part.strip() for part in line.partition("="))
        if _KEY_FILE.fullmatch(name):
            yield Path(value)


def _holds_secret(file: Path, is_expanded: bool = False) -> bool:
    """Whether a file has a secret in it; where variables are expanded, theirs are not in the file."""
    lines = (line for line in _lines(file) if not line.lstrip().startswith("#"))
    return any(_SECRET.search(_VARIABLE.sub("", line) if is_expanded else line) for line in lines)


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
