"""The reference pages are generated; they must say what the code says today."""

from __future__ import annotations

import pytest

from devnet import reference


@pytest.mark.parametrize("page", ["cli", "http"])
def test_reference_page_when_generated_again_then_equals_the_committed_one(page: str) -> None:
    fresh = {"cli": reference.cli_page, "http": reference.http_page}[page]()
    committed = (reference.DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert fresh == committed, f"docs/reference/{page}.md is out of date: run python -m devnet.reference"


def test_cli_page_when_generated_then_every_command_has_a_sentence_of_help() -> None:
    sections = reference.cli_page().split("\n## ")[1:]
    assert len(sections) > 8
    for section in sections:
        title, _, text = section.partition("\n")
        assert text.strip(), f"{title} has no help"
