"""Versions of persisted encodings: one is written, some are read, and others are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        Version that is written.
    remedy
        Ends the error about a version that is not read.
    older
        Other versions that are read.
    error
        Raised for a version that is not read.

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
        """Return version and writing Headrace, as entries of an object of JSON."""
        return {"v": self.version, "by": headrace_version()}

    def check(self, raw: Mapping[str, Any], what: str) -> int:
        """Return the version of an object of JSON; `what` names it in a refusal."""
        return self.check_version(raw.get("v", UNVERSIONED), what, raw.get("by"))

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Refuse bytes that are damaged as an `error` that names the object and the remedy.

        Examples
        --------
        >>> positions = Encoding(version=2, remedy="run that version")
        >>> with positions.reading("the position of clicks[0]"):  # doctest: +ELLIPSIS
        ...     int("seven")
        Traceback (most recent call last):
        headrace.schemas.errors.StateError: the position of clicks[0] is damaged, or another program's: ...
        """
        try:
            yield
        except HeadraceError:
            raise
        except Exception as error:
            damage = f"{what} is damaged, or another program's: {_cause(error)}"
            raise self.error(f"{damage}; {self.remedy}") from error

    def metadata(self) -> dict[str, str]:
        """Return version and writing Headrace, for the metadata of a Parquet file."""
        return {name: str(value) for name, value in self.stamp().items()}

    def check_metadata(self, raw: Mapping[bytes, bytes] | None, what: str) -> int:
        """Return the version in the metadata of a Parquet file."""
        entries = {
            name.decode(): value.decode() for name, value in (raw or {}).items() if name in (b"v", b"by")
        }
        version = entries.get("v", str(UNVERSIONED))
        return self.check_version(int(version) if version.isdecimal() else version, what, entries.get("by"))

    def check_version(self, version: Any, what: str, by: str | None = None) -> int:
        """Return a version that is read.

        Parameters
        ----------
        version
            Version of an object.
        what
            Names the object.
        by
            Version of the Headrace that wrote it, where that is known.

        Raises
        ------
        HeadraceError
            Of the type `error`, when the version is not read.
        """
        reads = sorted({*self.older, self.version})
        if type(version) is not int:
            damage = f"{what} is damaged, or another program's: its version is {version!r}"
            raise self.error(f"{damage}; {self.remedy}")
        if version in reads:
            return version
        raise self.error(
            f"{what} has version {version!r}, this Headrace reads {' and '.join(map(str, reads))}; "
            f"it was written by {f'Headrace {by}' if by else 'another Headrace'}: {self.remedy}"
        )


def _cause(error: Exception) -> str:
    from pydantic import ValidationError  # the SDK reads versions, and its import is light

    from headrace.schemas.records import misfit

    return misfit(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
