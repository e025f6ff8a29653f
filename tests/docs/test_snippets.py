"""Every snippet of the documents runs, or says why it is parsed only; what it prints is what they show.

The pages of Getting started are read in their order, in an empty folder. What they leave behind, a running
project, is what the snippets of all other documents speak of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.document_reader import DocumentReader
from tests.support.documents import DOCUMENTS, blocks, name_of
from tests.support.paths import ROOT

STARTER = ROOT / "deploy/starter/README.md"
FIRST = [
    ROOT / f"docs/getting-started/{name}.md"
    for name in ("install", "first-project", "first-topic", "first-learner")
]
OTHERS = [
    document
    for document in DOCUMENTS
    if document not in FIRST and document != STARTER and any(blocks(document))
]


@pytest.fixture(scope="module")
def reader(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentReader]:
    """One who has read nothing yet."""
    found = DocumentReader(tmp_path_factory.mktemp("reader"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def beginner(reader: DocumentReader) -> DocumentReader:
    """One who has read Getting started, and then the README in the project that came of it."""
    for page in FIRST:
        reader.read(page)
    reader.read(STARTER, reader.folder / "shop")
    return reader


def test_getting_started_can_be_followed(beginner: DocumentReader) -> None:
    assert (beginner.folder / "shop" / "features.py").exists()


@pytest.mark.parametrize("document", OTHERS, ids=name_of)
def test_snippets_run(beginner: DocumentReader, document: Path) -> None:
    beginner.read(document)
