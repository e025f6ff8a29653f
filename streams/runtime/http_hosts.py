"""The names under which an HTTP server may be asked.

A page in a browser reaches any server that the browser reaches. It can read answers, and send what only pages
of the same host may send, once a public name that its owner controls leads to that server (DNS rebinding).
The browser sends that name, so a server that knows its own names refuses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

_PRIVATE: Final = (".localhost", ".internal", ".svc", ".cluster.local")  # nobody's on the public Internet


class HttpHosts:
    """Tells which ``Host`` headers a server answers.

    Addresses are always allowed, and names that nobody can have on the public Internet: without a dot, or in
    the domains ``localhost``, ``internal``, ``svc`` and ``cluster.local``.

    Parameters
    ----------
    names
        Public names of the server; ``*`` for any.

    Examples
    --------
    >>> hosts = HttpHosts(["router.example.com"])
    >>> hosts.allows("127.0.0.1:8080"), hosts.allows("[::1]"), hosts.allows("serve.prod.svc:80")
    (True, True, True)
    >>> hosts.allows("Router.example.com"), hosts.allows("evil.example"), hosts.allows("")
    (True, False, False)
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = {name.strip().lower() for name in names}
        self._known: set[str] = set()  # headers that were allowed before

    def allows(self, header: str) -> bool:
        """Tell whether the value of a ``Host`` header is one that this server answers."""
        if header in self._known:
            return True
        allowed = self._allows(header.lower())
        if allowed and len(self._known) < 1000:
            self._known.add(header)
        return allowed

    def _allows(self, header: str) -> bool:
        host, port = _split(header)
        if port and not (port.isascii() and port.isdigit()):
            return False
        if "*" in self._names or host in self._names or _is_address(host):
            return True
        name = host.removesuffix(".")
        return bool(name) and _is_name(name) and ("." not in name or name.endswith(_PRIVATE))


def _split(header: str) -> tuple[str, str]:
    if header.startswith("["):
        host, _, rest = header[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = header.partition(":")
    return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_name(name: str) -> bool:
    return name.isascii() and name.replace("-", "").replace(".", "").replace("_", "").isalnum()
