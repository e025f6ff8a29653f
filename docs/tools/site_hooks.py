"""Hooks of mkdocs: pages that are generated from the code, and the list of decisions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads hooks by their path

from command_reference import command_reference
from http_reference import http_reference

GENERATED: dict[str, Callable[[], str]] = {
    "reference/cli.md": command_reference,
    "reference/http.md": http_reference,
}
PLACE = "<!-- generated -->"


def on_config(config: Any) -> Any:
    """List the decisions under their headings, so that a new one needs no line in mkdocs.yml."""
    pages: list[Any] = ["decisions/README.md"]
    for file in sorted(Path(config["docs_dir"], "decisions").glob("0*.md")):
        heading = file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        pages.append({heading: f"decisions/{file.name}"})
    for item in config["nav"]:
        if "Decisions" in item:
            item["Decisions"] = pages
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the generated part of a page in its place."""
    generate = GENERATED.get(page.file.src_uri)
    if generate is None:
        return markdown
    if markdown.count(PLACE) != 1:
        raise ValueError(f"{page.file.src_uri} must have {PLACE} once")
    return markdown.replace(PLACE, generate())
