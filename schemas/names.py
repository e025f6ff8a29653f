"""Names of what a plan holds.

They become parts of topics, keys, folders and files. A plan may come from anyone who can write to Redis, so
each name is checked wherever a plan is made or read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator

MOST_CHARACTERS: Final = 100  # two such names and a few words make the name of a topic, which has 249 at most
MOST_BYTES: Final = 200  # in UTF-8; the name of a file has 255 at most
PART_REMEDY: Final = "Use letters, digits, '.', '_' and '-', a letter or digit first"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def part_fault(name: str) -> str | None:
    """Say why a name cannot be part of the names of topics and files; None when it can.

    Projects, sources, learners and routers have such names.

    Examples
    --------
    >>> part_fault("clicks-2")
    >>> part_fault("../clicks")
    'it becomes part of the names of topics and files'
    """
    if len(name) > MOST_CHARACTERS:
        return f"it has {len(name)} characters, of {MOST_CHARACTERS} at most"
    return None if _PART.fullmatch(name) else "it becomes part of the names of topics and files"


def folder_fault(name: str) -> str | None:
    """Say why a name cannot be that of a folder; None when it can. Views and services have such names.

    Examples
    --------
    >>> folder_fault("clicks by user")
    >>> folder_fault(".."), folder_fault("a/b")
    ("it becomes that of a folder, and begins with '.'", "it becomes that of a folder, and has '/'")
    """
    if name.startswith("."):
        return "it becomes that of a folder, and begins with '.'"
    for character in "/\\":
        if character in name:
            return f"it becomes that of a folder, and has '{character}'"
    return field_fault(name)


@lru_cache(maxsize=4096)
def field_fault(name: str) -> str | None:
    """Say why a name cannot be that of a feature, join key or field; None when it can.

    Examples
    --------
    >>> field_fault("größe"), field_fault("a\\nb"), field_fault("")
    (None, 'it has characters that cannot be printed', 'it is empty')
    """
    if not name:
        return "it is empty"
    if not name.isprintable():
        return "it has characters that cannot be printed"
    if (size := len(name.encode())) > MOST_BYTES:
        return f"it has {size} bytes, of {MOST_BYTES} at most"
    return None


def _part(name: str) -> str:
    return _checked(name, part_fault(name))


def _folder(name: str) -> str:
    return _checked(name, folder_fault(name))


def _field(name: str) -> str:
    return _checked(name, field_fault(name))


def _topic(name: str) -> str:
    fits = _TOPIC.fullmatch(name) and name not in (".", "..")
    return _checked(name, None if fits else "Kafka takes no topic of this name")


def _checked(name: str, fault: str | None) -> str:
    if fault is not None:
        raise ValueError(f"the name {name[:MOST_CHARACTERS]!r} is not taken: {fault}")
    return name


PartName = Annotated[str, AfterValidator(_part)]
FolderName = Annotated[str, AfterValidator(_folder)]
FieldName = Annotated[str, AfterValidator(_field)]
TopicName = Annotated[str, AfterValidator(_topic)]
