"""Versions of persisted encodings: what is written, what is read, and a refusal of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from headrace.schemas.errors import HeadraceError, StateError

UNVERSIONED = 0  # bytes of before there were versions


@cache
def headrace_version() -> str:
    """Return the version of the installed distribution."""
    from importlib.metadata import version

    return version("headrace")


@dataclass(frozen=True)
class Encoding:
    """One form of persisted bytes.

    A change of the bytes raises `version`. The one before goes into `older` where it can still be read.

    Parameters
    ----------
    version
        Of what is written.
    remedy
        What to do about bytes of a version that is not read.
    older
        Other versions that are read.
    error
        Raised for the rest.

    Examples
    --------
    >>> positions = Encoding(version=2, remedy="run that version", older=(1,))
    >>> positions.check({"v": 1}, "the position of clicks[0]")
    1
    """

    version: int
    remedy: str
    older: tuple[int, ...] = ()
    error: type[HeadraceError] = StateError

    def stamp(self) -> dict[str, Any]:
        """Return the entries that tell the version and the Headrace that writes, for an object of JSON."""
        return {"v": self.version, "by": headrace_version()}

    def check(self, raw: Mapping[str, Any], what: str) -> int:
        """Return the version of an object of JSON; `what` names it in a refusal."""
        return self.check_version(raw.get("v", UNVERSIONED), what, raw.get("by"))

    def metadata(self) -> dict[str, str]:
        """Return what `stamp` does, for the metadata of a Parquet file."""
        return {name: str(value) for name, value in self.stamp().items()}

    def check_metadata(self, raw: Mapping[bytes, bytes] | None, what: str) -> int:
        """Return the version in the metadata of a Parquet file."""
        found = {
            name.decode(): value.decode() for name, value in (raw or {}).items() if name in (b"v", b"by")
        }
        version = found.get("v", str(UNVERSIONED))
        return self.check_version(int(version) if version.isdecimal() else version, what, found.get("by"))

    def check_version(self, found: Any, what: str, by: str | None = None) -> int:
        """Return a version that is read.

        Parameters
        ----------
        found
            The version.
        what
            Names the object that has it.
        by
            Version of the Headrace that wrote it, where that is known.

        Raises
        ------
        HeadraceError
            `error`, when it is not read.
        """
        reads = sorted({*self.older, self.version})
        if found in reads:
            return int(found)
        raise self.error(
            f"{what} has version {found!r}, this Headrace reads {' and '.join(map(str, reads))}; "
            f"it was written by {f'Headrace {by}' if by else 'another Headrace'}: {self.remedy}"
        )
