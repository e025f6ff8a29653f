"""What the documents name is there: files, links, settings; what is drawn is what is committed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.settings import Settings
from tests.support.documents import DOCUMENTS, blocks, name_of, prose, spans
from tests.support.paths import ROOT

LANGUAGES = {"csv", "json", "properties", "python", "sh", "text", "toml", "yaml"}
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PACKAGES = "deploy|streams|featurestore|learners|schemas|tests|docs|benchmarks|examples"
_FILE = re.compile(rf"(?<![\w./{{}}<-])(?:{_PACKAGES})/[\w./-]+\.[a-z]+\b")
_JOURNEYS = ("From an event to a row", "From a request to the log", "From an example to a version")


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(prose(document)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_are_named_exist(document: Path) -> None:
    text = "\n".join([*spans(document), *(block.text for block in blocks(document))])
    wrong = [name for name in _FILE.findall(text) if not re.search("[A-Z]{2}", name)]
    assert [name for name in wrong if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_code_is_fenced_and_says_its_language(document: Path) -> None:
    assert {block.language for block in blocks(document)} <= LANGUAGES
    assert all(block.notes.get("parsed", "a reason") for block in blocks(document))
    before = ""
    for line in prose(document).splitlines():
        assert not (line.startswith("    ") and not before), f"an indented block: {line}"
        before = before if line.startswith("    ") else line


def test_each_journey_passes_files() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for journey in _JOURNEYS:
        section = text.split(f"## {journey}\n")[1].split("\n## ")[0]
        assert len(set(_FILE.findall(section))) >= 10


def test_the_drawing_is_that_of_its_source() -> None:
    program = "from architecture_drawing import drawing; print(drawing(), end='')"
    folder = ROOT / "docs" / "tools"
    drawn = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert drawn.stdout == (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")


def test_all_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = _LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(file.name for file in folder.glob("0*.md"))


def test_settings_are_those_there_are_and_all_of_them() -> None:
    fields = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    named = {name for text in texts for name in re.findall(r"HEADRACE_[A-Z_]*[A-Z]", text)}
    assert named - fields <= {
        f"HEADRACE_{name}" for name in ("NAME", "TEST_KAFKA", "TEST_REDIS", "TEST_REGISTRY", "TEST_REQUESTS")
    }
    told = (ROOT / "docs/operations/settings.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"`{name}`" not in told] == []


def test_the_table_of_what_follows_from_what_is_that_of_the_code() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "docs" / "tools" / "follows_table.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / "follows-from.md").read_text(encoding="utf-8")
    assert page.partition("<!-- follows -->\n")[2].partition("<!-- end -->")[0] == printed.stdout
