"""From files to registered datasets, with fakes of chain and store."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.cleaning import MAX_PIECE_CHARACTERS, clean_text, cut, read_documents, scrub
from client.data import About, Prepared, load_dataset, load_shard, prepare_text, submit_text
from client.dedupe import Clusters, Signatures
from client.errors import AlreadySubmitted, BinaryText, DataError, EmptyText, Reverted
from client.storage import MemoryStore
from client.types import DatasetInfo, DatasetStatus, ModelInfo
from contracts.enums import Level

ALICE = "0x" + "A1" * 20
ABOUT = About("CC0-1.0", ALICE)
WORDS = [
    "court", "law", "party", "notice", "shall", "terms", "grant", "right", "claim", "work", "copy", "code", "user",
    "state", "act", "title", "owner", "deed", "lease", "bond", "will", "trust", "judge", "jury", "plea", "writ",
]  # fmt: skip


def _essay(seed: int, words: int = 200) -> str:
    chooser = random.Random(seed)
    return " ".join(f"{chooser.choice(WORDS)}{chooser.randrange(1000)}" for _ in range(words)) + "."


def _jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@dataclass
class FakeChain:
    """One model, and a registry in a list."""

    address: str = ALICE
    infos: list[DatasetInfo] = field(default_factory=list)
    refuse: bool = False

    def model(self, name_or_id: str | int) -> ModelInfo:
        return ModelInfo(7, 0, Level.FIELD, "law", "law", bytes(32), bytes(32), 0, ALICE)

    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]:
        return [info for info in self.infos if model_id in (None, info.model_id)]

    def dataset_id_of(self, root: bytes) -> int:
        return next((info.id for info in self.infos if info.root == root), 0)

    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo:
        if self.refuse:
            raise Reverted("DuplicateRoot", (root,))
        info = DatasetInfo(
            len(self.infos) + 1, model_id, self.address, root, licence, size, shards, heldout, DatasetStatus(0), 0, 0
        )
        self.infos.append(info)
        return info


# ---- cleaning ----


def test_clean_when_text_is_messy_then_spaces_and_breaks_are_normal() -> None:
    messy = "\ufeffCafe\u0301\u00a0 law\r\nnext\u200b  line \t\n\n\n\n\x07end\x00\u2028last   "
    assert clean_text(messy) == "Café law\nnext line\n\nend\nlast"


def test_clean_when_text_is_code_then_indentation_stays() -> None:
    assert clean_text("def f():\n\treturn  1\n") == "def f():\n    return 1"


@given(st.text(max_size=300))
def test_clean_when_done_twice_then_nothing_changes(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_clean_when_surrogates_are_alone_then_they_are_replaced() -> None:
    assert clean_text("a\ud800b") in ("a?b", "a\ufffdb")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to jane.doe+x@mail.example.org now", "write to <email> now"),
        ("call +49 30 1234567 today", "call <phone> today"),
        ("call (555) 123-4567 or 555-123-4567.", "call <phone> or <phone>."),
    ],
)
def test_scrub_when_personal_data_then_is_masked(text: str, masked: str) -> None:
    assert scrub(text) == (masked, masked.count("<"))


@pytest.mark.parametrize(
    "text",
    ["version 1.2.3.4 of 2024-01-02", "x = a + 10 - 20", "a @ b", "ISBN 978-3-16-148410-0", "10,000,000", "@decorator"],
)
def test_scrub_when_only_numbers_then_nothing_is_masked(text: str) -> None:
    assert scrub(text) == (text, 0)


def test_scrub_when_text_is_hostile_then_takes_no_time() -> None:
    import time

    started = time.monotonic()
    scrub("a." * 50_000 + "@" + "a-" * 50_000)
    scrub("+1 " * 50_000 + "1" * 50_000)
    clean_text("x" + " " * 500_000 + "y" + "\n" * 500_000 + "\t" * 100_000)
    assert time.monotonic() - started < 2


@given(st.text(alphabet="ab \n.", max_size=500), st.integers(10, 60))
def test_cut_when_any_text_then_pieces_fit_and_nothing_is_lost(text: str, limit: int) -> None:
    pieces = cut(text, limit)
    assert all(len(piece) <= limit for piece in pieces)
    kept = "".join("".join(pieces).split())
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]


def test_cut_when_paragraphs_then_cuts_between_them() -> None:
    text = "\n\n".join(_essay(seed, 300) for seed in range(6))
    pieces = cut(text)
    assert len(pieces) > 1
    assert all(piece.endswith(".") for piece in pieces)


# ---- reading ----


def test_read_when_forms_differ_then_documents_are_the_same(tmp_path: Path) -> None:
    texts = ["first text", "second \u00e4 text", 'third "quoted" text']
    lines = _jsonl(tmp_path / "a.jsonl", texts)
    listed = tmp_path / "b.json"
    listed.write_text(json.dumps([texts[0], {"text": texts[1]}, texts[2]], ensure_ascii=False, indent=3), "utf-8-sig")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
    (folder / ".hidden.txt").write_text("not this")
    (folder / "image.png").write_bytes(b"\0")
    for path in (lines, listed, folder):
        assert list(read_documents(path)) == texts


def test_read_when_json_list_is_long_then_streams_all(tmp_path: Path) -> None:
    texts = [_essay(seed, 900) for seed in range(200)]
    (tmp_path / "a.json").write_text(json.dumps(texts))
    assert list(read_documents(tmp_path / "a.json")) == texts
    (tmp_path / "b.json").write_text(" [ ] ")
    assert list(read_documents(tmp_path / "b.json")) == []


@pytest.mark.parametrize(
    "content", ['{"text": "x"}', '["a" "b"]', '["a",', '["a", 5]', "[nonsense]", "", '["a"', "[1.5e"]
)
def test_read_when_json_is_no_list_of_texts_then_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError):
        list(read_documents(tmp_path / "a.json"))


@pytest.mark.parametrize("line", ["{", '{"txt": "x"}', "5", '{"text": 5}'])
def test_read_when_a_line_is_wrong_then_names_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'"fine"\n\n{line}\n')
    with pytest.raises(DataError, match="line 3"):
        list(read_documents(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    "content", [b"text\0more", b"\xff\xfeh\0i\0", b"caf\xe9 au lait", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(1, 9)) * 50]
)
def test_submit_when_file_is_binary_then_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.txt").write_bytes(content)
    chain, store = FakeChain(), MemoryStore()
    with pytest.raises(BinaryText):
        submit_text(chain, store, tmp_path / "file.txt", "law", "CC0-1.0")
    assert (chain.infos, store.blobs) == ([], {})


@pytest.mark.parametrize("content", ["", " \n\n\t", "... --- !!!\n\n\u200b"])
def test_submit_when_text_is_empty_then_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.txt").write_text(content)
    with pytest.raises(EmptyText):
        submit_text(FakeChain(), MemoryStore(), tmp_path / "file.txt", "law", "CC0-1.0")


def test_submit_when_file_is_not_there_or_folder_is_empty_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        submit_text(FakeChain(), MemoryStore(), tmp_path / "nothing", "law", "CC0-1.0")
    with pytest.raises(EmptyText):
        submit_text(FakeChain(), MemoryStore(), tmp_path, "law", "CC0-1.0")


def test_submit_when_sparse_file_of_two_gigabytes_then_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "big.txt").open("wb") as file:
        file.truncate(2 * 2**30)
    with pytest.raises(BinaryText):
        submit_text(FakeChain(), MemoryStore(), tmp_path / "big.txt", "law", "CC0-1.0")


# ---- clusters ----


def test_clusters_when_texts_are_near_copies_then_they_join(tmp_path: Path) -> None:
    base = _essay(1, 400).split()
    near = base.copy()
    for place in range(0, 400, 40):
        near[place] = "changed"
    texts = [" ".join(base), " ".join(near), _essay(2, 400), _essay(3, 400)]
    clusters, signatures = Clusters(), Signatures(tmp_path / "signatures")
    for text in texts:
        clusters.add()
        signatures.add(text)
    signatures.join_similar(clusters)
    signatures.close()
    assert [clusters.root(number) for number in range(4)] == [0, 0, 2, 3]
    assert not (tmp_path / "signatures").exists()


# ---- preparing ----


def _prepare(path: Path, work: Path) -> Prepared:
    work.mkdir()
    return prepare_text(path, ABOUT, work)


def _side(prepared: Prepared, held_out: bool) -> list[str]:
    shards = prepared.manifest.heldout if held_out else prepared.manifest.shards
    found: list[str] = []
    for shard in shards:
        found += json.loads((prepared.blobs / shard.digest).read_bytes())["documents"]
    return found


def test_prepare_when_near_copies_then_no_cluster_is_on_both_sides(tmp_path: Path) -> None:
    texts = []
    for seed in range(40):
        words = _essay(seed, 300).split()
        for copy in range(3):
            variant = words.copy()
            variant[copy * 7 + 5] = f"variant{copy}"
            texts.append(f"family{seed} " + " ".join(variant))
    random.Random(5).shuffle(texts)
    prepared = _prepare(_jsonl(tmp_path / "a.jsonl", texts), tmp_path / "work")
    train = {text.split()[0] for text in _side(prepared, False)}
    held = {text.split()[0] for text in _side(prepared, True)}
    assert len(train) + len(held) == 40
    assert not train & held
    assert 0.10 <= prepared.heldout_share <= 0.15
    assert prepared.manifest.clusters == 40


def test_prepare_when_document_is_long_then_its_pieces_stay_together(tmp_path: Path) -> None:
    texts = ["\n\n".join(f"doc{seed} {_essay(seed * 100 + part, 120)}" for part in range(20)) for seed in range(30)]
    prepared = _prepare(_jsonl(tmp_path / "a.jsonl", texts), tmp_path / "work")
    train, held = _side(prepared, False), _side(prepared, True)
    assert len(train) + len(held) > 30
    assert all(len(piece) <= MAX_PIECE_CHARACTERS for piece in train + held)
    assert not {piece.split()[0] for piece in train} & {piece.split()[0] for piece in held}


def test_prepare_when_done_again_then_is_the_same_to_the_byte(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(50)])
    assert _prepare(path, tmp_path / "one").root == _prepare(path, tmp_path / "two").root


def test_prepare_when_text_repeats_then_counts_what_it_removed(tmp_path: Path) -> None:
    texts = [_essay(seed) for seed in range(20)]
    noisy = [
        *texts,
        texts[3].upper(),
        "  ...  ",
        texts[5] + "  ",
        "mail me@example.org or you@example.org " + _essay(99),
    ]
    removed = _prepare(_jsonl(tmp_path / "a.jsonl", noisy), tmp_path / "work").manifest.removed
    assert (removed.duplicates, removed.empty, removed.pii) == (2, 1, 2)


def test_prepare_when_plain_file_then_its_pieces_are_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(_essay(seed, 250) for seed in range(100)))
    prepared = _prepare(tmp_path / "a.txt", tmp_path / "work")
    assert prepared.manifest.name == "a.txt"
    assert prepared.manifest.clusters > 10
    assert 0.08 < prepared.heldout_share < 0.16
    assert max(shard.bytes for shard in prepared.manifest.shards) < 70_000


def test_prepare_when_all_is_one_document_then_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="held out"):
        _prepare(_jsonl(tmp_path / "a.jsonl", [_essay(1), _essay(1) + " more"]), tmp_path / "work")


def test_prepare_when_two_documents_then_the_smaller_is_held_out(tmp_path: Path) -> None:
    prepared = _prepare(_jsonl(tmp_path / "a.jsonl", [_essay(1, 400), _essay(2, 50)]), tmp_path / "work")
    assert _side(prepared, True) == [_essay(2, 50)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=12))
def test_prepare_when_any_texts_then_each_word_is_on_one_side_or_refused(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        prepared = _prepare(_jsonl(folder / "a.jsonl", texts), folder / "work")
    except (DataError, EmptyText):
        return
    assert prepared.manifest.shards
    assert prepared.manifest.heldout
    assert not set(_side(prepared, True)) & set(_side(prepared, False))


# ---- submitting ----


def test_submit_when_all_is_well_then_it_is_stored_registered_and_readable(tmp_path: Path) -> None:
    chain, store, stages = FakeChain(), MemoryStore(), []
    path = _jsonl(tmp_path / "laws.jsonl", [_essay(seed) for seed in range(60)])
    result = submit_text(
        chain, store, path, "law", "CC0-1.0", progress=lambda stage, done, total: stages.append((stage, done, total))
    )
    manifest = load_dataset(store, result.root)
    assert manifest == result.manifest
    assert (manifest.name, manifest.licence, manifest.field) == ("laws.jsonl", "CC0-1.0", "law")
    assert (result.dataset_id, result.model_id, chain.infos[0].root) == (1, 7, result.root)
    assert chain.infos[0].size == result.size == sum(s.bytes for s in (*manifest.shards, *manifest.heldout))
    texts = [text for shard in (*manifest.shards, *manifest.heldout) for text in load_shard(store, shard)]
    assert sorted(texts) == sorted(_essay(seed) for seed in range(60))
    assert list(dict.fromkeys(stage for stage, _, _ in stages)) == ["read", "cluster", "shard", "upload", "register"]
    assert all(0 <= done <= total for _, done, total in stages)


def test_submit_when_registered_already_then_refused_before_upload(tmp_path: Path) -> None:
    chain, store = FakeChain(), MemoryStore()
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(30)])
    submit_text(chain, store, path, "law", "CC0-1.0")
    held = dict(store.blobs)
    with pytest.raises(AlreadySubmitted, match="dataset 1"):
        submit_text(chain, store, path, "law", "CC0-1.0")
    chain.address = "0x" + "B2" * 20  # somebody else, another name: the same shards
    with pytest.raises(AlreadySubmitted, match="dataset 1"):
        submit_text(chain, store, path, "law", "MIT", name="mine")
    assert store.blobs == held


def test_submit_when_a_dataset_of_equal_sizes_is_no_manifest_then_it_is_no_obstacle(tmp_path: Path) -> None:
    chain, store = FakeChain(), MemoryStore()
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(30)])
    submit_text(chain, store, path, "law", "CC0-1.0")
    chain.infos[0] = replace(chain.infos[0], root=store.put(b"no manifest"))
    assert submit_text(chain, store, path, "law", "MIT", name="mine").dataset_id == 2


def test_submit_when_the_chain_knows_it_first_then_already_submitted(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(30)])
    with pytest.raises(AlreadySubmitted):
        submit_text(FakeChain(refuse=True), MemoryStore(), path, "law", "CC0-1.0")


def test_submit_when_interrupted_then_can_be_run_again(tmp_path: Path) -> None:
    chain, store = FakeChain(), MemoryStore()
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(300)])
    work = tmp_path / "work"
    work.mkdir()

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "upload" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit_text(chain, store, path, "law", "CC0-1.0", progress=interrupt, work_folder=work)
    assert chain.infos == []
    assert list(work.iterdir()) == []
    assert submit_text(chain, store, path, "law", "CC0-1.0", work_folder=work).dataset_id == 1


def test_submit_when_not_approved_then_nothing_leaves(tmp_path: Path) -> None:
    chain, store = FakeChain(), MemoryStore()
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(30)])

    def refuse(prepared: Prepared) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit_text(chain, store, path, "law", "CC0-1.0", approve=refuse)
    assert (chain.infos, store.blobs) == ([], {})


def test_load_shard_when_manifest_lies_then_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    chain, store = FakeChain(), MemoryStore()
    path = _jsonl(tmp_path / "a.jsonl", [_essay(seed) for seed in range(30)])
    shard = submit_text(chain, store, path, "law", "CC0-1.0").manifest.shards[0]
    with pytest.raises(DataError):
        load_shard(store, replace(shard, documents=shard.documents + 1))


@pytest.mark.parametrize(
    "size", [pytest.param(20_000_000, marks=pytest.mark.slow), pytest.param(200_000_000, marks=pytest.mark.deep)]
)
def test_prepare_when_file_is_large_then_memory_stays_bounded(tmp_path: Path, size: int) -> None:
    path = tmp_path / "large.txt"
    chooser = random.Random(1)
    block = "\n\n".join("".join(chooser.choices("abcdefgh", k=900)) for _ in range(1000))
    with path.open("w") as file:
        while file.tell() < size:
            file.write(block.replace("a", chr(97 + file.tell() % 26)).replace("b", f" {file.tell()} ") + "\n\n")
    code = (
        "import sys; from pathlib import Path; from client.data import *;"
        f"p = prepare_text(Path(sys.argv[1]), About('CC0-1.0', '{ALICE}'), Path(sys.argv[2]));"
        "print(p.size, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )  # not getrusage: its peak counts the process that started this one
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "work")], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    prepared_bytes, peak_kilobytes = map(int, done.stdout.split())
    assert prepared_bytes > 0.9 * size
    assert peak_kilobytes < 160_000  # of which 90,000 are numpy, scipy and datasketch
