"""The small project of clicks that stacks are tried with, and a request to one of them."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd

from headrace.deploy.stack import LocalStack
from tests.support.waiting import PATIENCE_S

NOON_MS = 1_700_000_000_000
CLICKS = Path(__file__).parent / "clicks"


def make_clicks_project(parent: Path) -> Path:
    """A copy of the project in a folder, with its table of people."""
    folder = parent / "clicks"
    shutil.copytree(CLICKS, folder)
    (folder / "data").mkdir()
    born = pd.DataFrame({"user": ["ada", "bob"], "age": [36, 41]})
    born["event_timestamp"] = pd.Timestamp(NOON_MS - 1, unit="ms", tz="UTC")
    born.to_parquet(folder / "data" / "profiles.parquet")
    return folder


def post(stack: LocalStack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return post_to(stack.serve_url, path, body)


def post_to(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return dict(json.load(answer))
