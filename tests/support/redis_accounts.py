"""Accounts of Redis as the documentation gives them, on a server that lets nobody else in."""

from __future__ import annotations

import re

import redis

from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "operations" / "security.md"
PASSWORD = "of-the-test"
ADMIN = "of-the-admin"


def documented_accounts() -> dict[str, str]:
    """Name of each account to its rule, with PROJECT and PASSWORD in it."""
    lines = re.findall(r"^ACL SETUSER (\w+) (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    return dict(lines)


def documented_besides(what: str) -> list[str]:
    """The rights that all accounts need besides for something, such as ``In a cluster``."""
    text = " ".join(DOCUMENT.read_text().split())
    (rights,) = re.findall(rf"{what} all need `([^`]*)` besides", text)
    return str(rights).split()


def documented_sentinel_account() -> tuple[str, str]:
    """Name and rule of the account that asks sentinels."""
    ((name, rule),) = re.findall(r"^sentinel> ACL SETUSER (\w+) (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    return name, rule


def make_sentinel_account(client: redis.Redis) -> str:
    """Make it on a sentinel that lets nobody else in; return the options of a URL that name it."""
    name, rule = documented_sentinel_account()
    client.execute_command("ACL", "SETUSER", name, *rule.replace("PASSWORD", PASSWORD).split())
    client.execute_command("ACL", "SETUSER", "default", "off")
    return f"sentinel_username={name}&sentinel_password={PASSWORD}"


def make_accounts(url: str, project: str, *besides: str) -> None:
    """Make the accounts on a server; the default one keeps its rights."""
    with redis.Redis.from_url(url) as client:
        for name, rule in documented_accounts().items():
            words = rule.replace("PROJECT", project).replace("PASSWORD", PASSWORD).split()
            client.execute_command("ACL", "SETUSER", name, *words, *besides)


def close(url: str) -> None:
    """Give the default account of a server a password, so that the others are not passed by."""
    with redis.Redis.from_url(url) as client:
        client.execute_command("CONFIG", "SET", "requirepass", ADMIN)


def url_of(url: str, account: str) -> str:
    """The URL with which an account reaches a server or cluster."""
    return url.replace("//", f"//{account}:{PASSWORD}@")


def refused(url: str) -> list[str]:
    """What any account was refused, from the server's own log."""
    with redis.Redis.from_url(url) as client:
        entries = client.acl_log(count=200)
    return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in entries]
