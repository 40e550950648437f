"""The pages name only commands, options, files and make targets that exist."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from client.cli.main import app
from devnet.reference import _walk

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]  # the others are generated or list contracts
FOLDERS = ("client/", "contracts/", "devnet/", "docs/", "node/", "tests/", ".ci/")
EVERYWHERE = {"--help", "--debug", "--home", "--network"}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@functools.cache
def commands() -> dict[str, set[str]]:
    """Every command's path, with the options that it takes."""
    return {
        path: {option for parameter in command.get_params(context) for option in parameter.opts} | EVERYWHERE
        for path, command, context in _walk(get_command(app), "strata", None, typer.Context)
    }


def shown(text: str) -> Iterator[list[str]]:
    """The words of each `strata` command that a page shows, in a block or in a line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in [*lines, *re.findall(r"`([^`]+)`", rest)]:
        words = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if words.startswith("strata ") and "..." not in words:
            yield shlex.split(words.split(" > ")[0], comments=True)


def unknown(words: list[str]) -> str:
    """What of a shown command does not exist; nothing when all does."""
    path = words[0]
    if len(words) > 1 and words[1].isupper():
        return ""  # `strata COMMAND --help`
    depth = 1
    while depth < len(words) and f"{path} {words[depth]}" in commands():
        path = f"{path} {words[depth]}"
        depth += 1
    if depth == 1:
        return f"no command {' '.join(words[:2])}"
    group = any(other.startswith(path + " ") for other in commands())
    if group and len(words) > depth and not words[depth].startswith("-") and f"{path} show" not in commands():
        return f"no command {path} {words[depth]}"
    options = commands()[path] | (commands().get(f"{path} show", set()) if group else set())
    wrong = [w for w in words[depth:] if re.match(r"--?[a-z]", w) and w.split("=")[0] not in options]
    return f"{path} takes no {', '.join(wrong)}" if wrong else ""


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_page_when_it_shows_a_command_then_command_and_options_exist(page: Path) -> None:
    wrong = [f"{' '.join(words)}: {problem}" for words in shown(page.read_text()) if (problem := unknown(words))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_page_when_it_names_a_file_or_links_then_it_is_there(page: Path) -> None:
    text = page.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (page.parent / link).exists()]
    named = [name for name in re.findall(r"`([\w./-]+)`", text) if name.startswith(FOLDERS)]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_page_when_it_shows_a_make_target_then_it_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "howto").glob("*.md")), ids=_name)
def test_howto_when_read_then_it_says_what_is_needed_what_is_seen_and_what_goes_wrong(page: Path) -> None:
    titles = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    for wanted in ("What you need", "What you should see", "What goes wrong"):
        assert wanted in titles


def test_index_when_read_then_it_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.relative_to(ROOT / "docs") for page in PAGES if (ROOT / "docs") in page.parents]
    assert [str(page) for page in pages if page.name != "README.md" and f"({page})" not in index] == []


def test_decision_on_libraries_when_read_then_it_names_every_one_that_is_pinned() -> None:
    text = (ROOT / "docs" / "decisions" / "0001-what-comes-in.md").read_text()
    pins = [ROOT / "requirements.txt", ROOT / "requirements-nodeps.txt"]
    names = [re.split(r"[=\s#]", line)[0] for path in pins for line in path.read_text().splitlines()]
    assert [name for name in names if name and not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)] == []
