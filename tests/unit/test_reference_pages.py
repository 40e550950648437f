"""The reference pages are generated; they must say what the code says today."""

from __future__ import annotations

import re

import pytest

from devnet import reference


@pytest.mark.parametrize("page", ["cli", "http"])
def test_reference_page_when_generated_again_then_equals_the_committed_one(page: str) -> None:
    fresh = {"cli": reference.cli_page, "http": reference.http_page}[page]()
    committed = (reference.DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert fresh == committed, f"docs/reference/{page}.md is out of date: run python -m devnet.reference"


def test_cli_page_when_generated_then_every_command_says_what_it_does_and_shows_an_example() -> None:
    titles = re.split(r"^(#{2,4}) `(strata[^`]*)`$", reference.cli_page(), flags=re.MULTILINE)[1:]
    commands = {titles[i + 1]: titles[i + 2].strip() for i in range(0, len(titles), 3)}
    assert len(commands) > 30
    for command, text in commands.items():
        assert re.match(r"[A-Z].*[.`]$", text.splitlines()[0]), f"{command} has no sentence of help"
        if not any(other.startswith(command + " ") for other in commands):  # a command, not a group of such
            shortest = command.removesuffix(" show")  # the default command of its group
            assert f"\nExample: {shortest}" in text, f"{command} has no example"
