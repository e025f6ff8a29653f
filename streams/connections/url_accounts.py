"""Accounts in URLs: refused where they are written so that a parser would take them for something else.

A password with one of ``/ ? # @`` in it ends the address early, and its rest would be shown as a path, an
option or a port. It must be percent-encoded.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

from headrace.schemas.errors import SettingsError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_AUTHORITY_END = re.compile(r"[/?#]")
_NO_PORT = re.compile(r"(?<!:):(?![0-9]+(?:[,/\]]|$))[^:/,\]@]*(?=[/,]|$)")  # perhaps the rest of a password
_ACCOUNT = re.compile(r"(?<=://)[^\s\"'<>]*@")
_QUOTED = r"\"[^\"]*\"|'[^']*'"
_NAMED_SECRET = re.compile(
    r"(?P<name>[\w.-]*(?:passw(?:or)?d|secret|api_?key|access_key)[\w.-]*)"
    rf"(?P<is>\s*=\s*(?:{_QUOTED}|[^\s,;&\"']+)|[\"']?\s*:\s*(?:{_QUOTED}))",
    re.IGNORECASE,
)


def without_account(url: str) -> str:
    """Return a URL without user, password and options, for a message; of what is none, as little as is safe.

    Examples
    --------
    >>> without_account("redis://me:pa/ss#word@store:6379/0?password=more")
    'redis://store:6379/0'
    >>> without_account("reids:secret@store"), without_account("store:6379")
    ('store', 'store:6379')
    >>> without_account("redis://me:secret"), without_account("redis://a:1,b:2/0")
    ('redis://me', 'redis://a:1,b:2/0')
    """
    scheme = _SCHEME.match(url)
    rest = url[scheme.end() :] if scheme else url
    host = rest.rpartition("@")[2].partition("?")[0].partition("#")[0]
    return (scheme[0] if scheme else "") + _NO_PORT.sub("", host)


def without_secrets(text: str) -> str:
    """Return a text of another program without accounts in URLs and without values that are named as secrets.

    Examples
    --------
    >>> without_secrets("no such host: postgresql://me:word@db/shop?password=more")
    'no such host: postgresql://db/shop?password=...'
    >>> without_secrets("connection_string: 'localhost:6379,password=secret', db: 1")
    "connection_string: 'localhost:6379,password=...', db: 1"
    """
    return _NAMED_SECRET.sub(r"\g<name>=...", _ACCOUNT.sub("", text))


def refuse_open_account(url: str, what: str) -> None:
    """Refuse a URL whose user or password is not percent-encoded.

    Parameters
    ----------
    url
        With a scheme.
    what
        Names it in the error, which does not show it.

    Raises
    ------
    SettingsError
        Says how to write the account.
    """
    rest = url.partition("://")[2]
    end = _AUTHORITY_END.search(rest)
    authority, behind = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    in_path = "@" in behind.partition("?")[0]
    in_names = any("@" in name for name, _ in parse_qsl(behind.partition("?")[2], keep_blank_values=True))
    if authority.count("@") > 1 or "#" in behind or ("@" not in authority and (in_path or in_names)):
        raise SettingsError(
            f"{what} has one of / ? # @ in its user or password, where it would end them; write "
            "%2F %3F %23 %40 in their place"
        )


def registry_parts(url: str) -> SplitResult:
    """Return the parts of the URL of a registry.

    Raises
    ------
    SettingsError
        When it is none; says how to write it, and does not show it.
    """
    refuse_open_account(url, "the URL of the schema registry")
    wanted = "write http://host:8081 or https://host:8081, with user:password@ before the host"
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        )
    except ValueError:  # which may show what was taken for a port
        usable = False
    if not usable:
        raise SettingsError(f"the URL of the schema registry has no host, or a port that is none; {wanted}")
    if parts.query or parts.fragment:
        raise SettingsError(f"the URL of the schema registry has options, which are not sent; {wanted}")
    return parts
