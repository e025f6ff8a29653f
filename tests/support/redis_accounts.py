"""Accounts of Redis as the documentation gives them, on a server that lets nobody else in."""

from __future__ import annotations

import re

import redis

from headrace.deploy.local.redis_server import RedisServer
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "operations" / "security.md"
PASSWORD = "of-the-test"
ADMIN = "of-the-admin"


def documented_accounts() -> dict[str, str]:
    """Name of each account to its rule, with PROJECT and PASSWORD in it."""
    lines = re.findall(r"^ACL SETUSER (\w+) (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    return dict(lines)


def make_accounts(server: RedisServer, project: str) -> None:
    """Make the accounts; the default one keeps its rights and gets a password."""
    with redis.Redis.from_url(server.url) as client:
        for name, rule in documented_accounts().items():
            words = rule.replace("PROJECT", project).replace("PASSWORD", PASSWORD).split()
            client.execute_command("ACL", "SETUSER", name, *words)
        client.execute_command("CONFIG", "SET", "requirepass", ADMIN)


def url_of(server: RedisServer, account: str) -> str:
    """The URL with which an account reaches the server."""
    return server.url.replace("//", f"//{account}:{PASSWORD}@")


def refused(server: RedisServer) -> list[str]:
    """What any account was refused, from the server's own log."""
    with redis.Redis.from_url(server.url.replace("//", f"//:{ADMIN}@")) as client:
        entries = client.acl_log(count=200)
    return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in entries]
