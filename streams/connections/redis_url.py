"""URLs of Redis: a server, a cluster, or a master that sentinels know, with TLS or without.

=========  ====================================================================
a server   ``redis://[user:password@]host:port/0``, ``unix:///path/to/socket``
a cluster  ``redis+cluster://[user:password@]host:port,host:port,...``
sentinels  ``redis+sentinel://[user:password@]host:port,host:port,.../SERVICE/0``
=========  ====================================================================

With TLS ``redis`` is ``rediss``. Options follow a question mark; `OPTIONS` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from redis.connection import parse_url

from headrace.schemas.errors import SettingsError
from headrace.schemas.name_hint import name_hint
from headrace.streams.connections.url_accounts import refuse_open_account, without_account

Kind = Literal["server", "cluster", "sentinel"]
SCHEMES: Final[Mapping[str, Kind]] = {
    "redis": "server",
    "rediss": "server",
    "unix": "server",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}
_OF_CONNECTION = frozenset(
    {
        "client_name",
        "db",
        "health_check_interval",
        "password",
        "protocol",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
        "username",
    }
)
_OURS: Final[Mapping[str, type[int] | type[str]]] = {
    "max_connections": int,
    "retries": int,
    "sentinel_username": str,
    "sentinel_password": str,
}
OPTIONS: Final = _OF_CONNECTION | _OURS.keys()
_PORTS: Final[Mapping[Kind, int]] = {"server": 6379, "cluster": 6379, "sentinel": 26379}


@dataclass(frozen=True)
class RedisUrl:
    """The parts of a URL. Options, which may be secrets, are not shown.

    Attributes
    ----------
    kind
        Whether `nodes` are the server itself, some nodes of a cluster, or sentinels.
    nodes
        Hosts and ports; none for a socket.
    tls
        Whether connections are encrypted, those to sentinels too.
    service
        Name of the master among the sentinels.
    options
        Options of each connection, by their names in redis-py.
    sentinel_options
        Options of connections to sentinels, where they differ.
    max_connections
        Greatest number of connections to one server that a client of the SDK has for reading.
    retries
        How often a request is tried again; None: the default of the caller.

    Examples
    --------
    >>> url = RedisUrl.parse("rediss+sentinel://me:secret@a:1,b/store/3?retries=4")
    >>> url.kind, url.nodes, url.tls, url.service, url.retries
    ('sentinel', (('a', 1), ('b', 26379)), True, 'store', 4)
    >>> str(url)
    "Redis behind sentinels at a:1,b:26379 ('store')"
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    max_connections: int = 64
    retries: int | None = None

    @classmethod
    def parse(cls, url: str) -> RedisUrl:
        """Parse a URL.

        Raises
        ------
        SettingsError
            When it is not a URL of Redis, or has an option that does not exist. The password is not shown.
        """
        scheme, separator, rest = url.partition("://")
        kind = SCHEMES.get(scheme)
        if kind is None or not separator:
            raise SettingsError(
                f"'{without_account(url)}' is no URL of a Redis; use one that begins with one of "
                f"{', '.join(f'{known}://' for known in SCHEMES)}"
            )
        refuse_open_account(url, "the URL of Redis")
        _check_options(rest.partition("?")[2])
        if kind == "server":
            return cls._of_server(scheme, url)
        return cls._of_several(kind, scheme.startswith("rediss"), rest)

    @classmethod
    def _of_server(cls, scheme: str, url: str) -> RedisUrl:
        options, ours = _split(url)
        node = (options.pop("host", "localhost"), options.pop("port", _PORTS["server"]))
        nodes = () if scheme == "unix" else (node,)
        return cls("server", nodes, scheme == "rediss", options=options, **ours)

    @classmethod
    def _of_several(cls, kind: Kind, tls: bool, rest: str) -> RedisUrl:
        location, question, query = rest.partition("?")
        authority, _, path = location.partition("/")
        credentials, at, hosts = authority.rpartition("@")
        service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
        if kind == "sentinel" and not service:
            raise SettingsError(
                f"sentinels at {hosts} know masters by name, and the URL has none; write "
                f"redis+sentinel://{hosts}/NAME"
            )
        if kind == "cluster" and database.strip("/") not in ("", "0"):
            raise SettingsError(f"a cluster has database 0 alone, not '{database}'; take it out of the URL")
        options, ours = _split(f"redis://{credentials}{at}nowhere/{database}{question}{query}")
        options.pop("host")
        if kind == "cluster":
            options.pop("db", None)
        sentinel = {
            name.removeprefix("sentinel_"): ours.pop(name) for name in list(ours) if "sentinel" in name
        }
        nodes = tuple(_host_and_port(text, _PORTS[kind]) for text in hosts.split(","))
        return cls(kind, nodes, tls, service, options, sentinel, **ours)

    def __str__(self) -> str:
        """Describe the place, without the password."""
        where = ",".join(f"{host}:{port}" for host, port in self.nodes) or str(self.options.get("path"))
        kind = {"server": "Redis", "cluster": "Redis Cluster", "sentinel": "Redis behind sentinels"}
        return f"{kind[self.kind]} at {where}" + (f" ('{self.service}')" if self.service else "")


def _check_options(query: str) -> None:
    for name in parse_qs(query, keep_blank_values=True):
        if name not in OPTIONS:
            if not name.isidentifier():  # it may be the rest of a password
                raise SettingsError("the URL of Redis has an option whose name is no word; write ?name=value")
            hint = name_hint(name, OPTIONS)
            raise SettingsError(f"the URL of Redis has option '{name}', which does not exist; {hint}")


def _split(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of redis-py's connections, and those of `RedisUrl`."""
    try:
        options = dict(parse_url(url))  # type: ignore[no-untyped-call]
        ours = {name: kind(options.pop(name)) for name, kind in _OURS.items() if name in options}
        if "protocol" in options:
            options["protocol"] = int(options["protocol"])
    except ValueError as error:
        if not str(error).startswith("Invalid value for"):  # it may show what was taken for a port
            problem = "its host is no host, or its port or an option no number"
            raise SettingsError(f"the URL of Redis cannot be read: {problem}; correct it") from None
        raise SettingsError(f"the URL of Redis cannot be read: {error}; correct that option") from error
    options.pop("connection_class", None)
    return options, ours


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, number = parts.hostname, parts.port or port
    except ValueError:
        host, number = None, port
    if not host:
        raise SettingsError(f"'{text}' is no host:port; several are separated by commas")
    return host, number
