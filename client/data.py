"""Text to datasets: clean, mask, deduplicate, split by cluster, shard, upload, register.

::

    files -> documents -> pieces of at most 8,000 characters -> clusters of near-duplicates -> train | held-out
          -> shards of about 64 KB -> IPFS -> manifest -> chain

A cluster lies on one side whole, and so do the pieces of one document: held out means held out. Which side is decided
by content hashes alone, so the same text gives the same shards. Work lies in a temporary folder (``$TMPDIR``, about
twice the text); memory grows by some 300 bytes a piece, not with the text. Nothing is registered before everything is
uploaded, so an interrupted submission is just run again.
"""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from client.cid import cid_of, digest_bytes
from client.cleaning import clean_text, cut, has_words, read_documents, scrub, text_files
from client.dedupe import Clusters, Signatures
from client.errors import AlreadySubmitted, DataError, EmptyText, ManifestError, Reverted, StorageError
from client.manifests import MAX_MANIFEST_BYTES, MAX_SHARD_BYTES, Dataset, Removed, Shard, ShardText, canonical_json

if TYPE_CHECKING:
    from client.storage import Store
    from client.types import DatasetInfo, ModelInfo

SHARD_BYTES = 65_536  # of text in a shard
HELDOUT_LEAST, HELDOUT_MOST = 0.10, 0.15  # of the text, where the clusters' sizes allow
FETCH_SECONDS = 30.0

Progress = Callable[[str, int, int], None]  # stage ("read", "cluster", "shard", "upload", "register"), done, total


class DataChain(Protocol):
    """What a submission needs of the chain."""

    @property
    def address(self) -> str: ...
    def model(self, name_or_id: str | int) -> ModelInfo: ...
    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]: ...
    def dataset_id_of(self, root: bytes) -> int: ...
    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo: ...


@dataclass(frozen=True)
class About:
    """What a dataset's manifest says of the text besides its content."""

    licence: str  # an SPDX identifier, or a few words
    contributor: str  # address
    name: str = ""  # empty: the file's name
    field: str = ""
    language: str = "en"
    source: str = ""  # where the text comes from


@dataclass(frozen=True)
class Prepared:
    """A dataset on disk, ready to be uploaded: ``blobs`` holds one file a shard, named by its digest in hex."""

    manifest: Dataset
    root: bytes
    blobs: Path
    size: int  # bytes of all shards
    characters: int  # of all text

    @property
    def heldout_share(self) -> float:
        """The held-out part of the text, 0 to 1."""
        return sum(shard.characters for shard in self.manifest.heldout) / max(1, self.characters)


@dataclass(frozen=True)
class SubmitResult:
    """A registered dataset."""

    dataset_id: int
    model_id: int
    root: bytes
    manifest: Dataset
    size: int  # bytes of all shards
    characters: int  # of all text
    info: DatasetInfo = field(repr=False)

    @property
    def cid(self) -> str:
        """Where the manifest is on IPFS."""
        return cid_of(self.root)


def submit_text(
    chain: DataChain,
    store: Store,
    path: Path,
    model: str | int,
    licence: str,
    *,
    name: str = "",
    field: str = "",
    language: str = "en",
    source: str = "",
    progress: Progress | None = None,
    approve: Callable[[Prepared], None] | None = None,
    work_folder: Path | None = None,
) -> SubmitResult:
    """Prepare, upload and register a text for a model; raises DataError's kinds and leaves nothing half-done.

    ``approve`` sees the dataset before anything leaves the machine, and stops the submission by raising. Run
    again after an interruption: what is uploaded is found again, what is registered raises AlreadySubmitted.
    """
    report = progress or _silent
    target = chain.model(model)
    about = About(licence, chain.address, name, field or target.field, language, source)
    with tempfile.TemporaryDirectory(prefix="strata-data-", dir=work_folder) as folder:
        prepared = prepare_text(path, about, Path(folder), report)
        refuse_submitted(chain, store, target.id, prepared)
        if approve:
            approve(prepared)
        upload(store, prepared, report)
        report("register", 0, 1)
        info = _register(chain, target.id, prepared)
        report("register", 1, 1)
    return SubmitResult(info.id, target.id, prepared.root, prepared.manifest, prepared.size, prepared.characters, info)


def prepare_text(path: Path, about: About, work_folder: Path, progress: Progress | None = None) -> Prepared:
    """Clean, deduplicate, split and shard a text into ``work_folder``; nothing leaves the machine."""
    report = progress or _silent
    pile = _Pile(work_folder)
    try:
        pile.read(path, report)
        sides = pile.split(report)
        return _shard(pile, sides, path, about, report)
    finally:
        pile.close()


def refuse_submitted(chain: DataChain, store: Store, model_id: int, prepared: Prepared) -> None:
    """AlreadySubmitted where the chain knows this root, or the model has a dataset of the same shards."""
    known = chain.dataset_id_of(prepared.root)
    if known:
        raise AlreadySubmitted(f"This text is registered already, as dataset {known}. Nothing was uploaded.")
    manifest = prepared.manifest
    for info in chain.datasets(model_id):
        if (info.size, info.shards, info.heldout) != (prepared.size, len(manifest.shards), len(manifest.heldout)):
            continue
        try:
            other = load_dataset(store, info.root)
        except (StorageError, ManifestError):
            continue  # nobody has it now, or it is no manifest; validators will judge
        if (other.shards, other.heldout) == (manifest.shards, manifest.heldout):
            raise AlreadySubmitted(
                f"The same text is registered already, as dataset {info.id} by {info.owner}. Nothing was uploaded."
            )


def upload(store: Store, prepared: Prepared, progress: Progress | None = None) -> None:
    """Put every shard, then the manifest, into the store."""
    report = progress or _silent
    shards = (*prepared.manifest.shards, *prepared.manifest.heldout)
    for done, shard in enumerate(shards):
        report("upload", done, len(shards) + 1)
        if store.put((prepared.blobs / shard.digest).read_bytes()).hex() != shard.digest:
            raise StorageError(f"Shard {shard.digest} changed on disk while it was uploaded; run the submission again.")
    store.put(canonical_json(prepared.manifest.to_json()))
    report("upload", len(shards) + 1, len(shards) + 1)


def load_dataset(store: Store, root: bytes, timeout: float = FETCH_SECONDS) -> Dataset:
    """The manifest of a dataset. ``timeout`` in seconds."""
    return Dataset.from_bytes(store.get(root, MAX_MANIFEST_BYTES, timeout))


def load_shard(store: Store, shard: Shard, timeout: float = FETCH_SECONDS) -> tuple[str, ...]:
    """The documents of a shard; DataError where they are not what the manifest says. ``timeout`` in seconds."""
    blob = store.get(bytes.fromhex(shard.digest), MAX_SHARD_BYTES, timeout)
    documents = ShardText.from_bytes(blob).documents
    found = (len(blob), len(documents), sum(map(len, documents)))
    if found != (shard.bytes, shard.documents, shard.characters):
        raise DataError(
            f"Shard {shard.digest} holds {found} (bytes, documents, characters); its manifest says otherwise."
        )
    return documents


def _register(chain: DataChain, model_id: int, prepared: Prepared) -> DatasetInfo:
    manifest = prepared.manifest
    try:
        return chain.register_dataset(
            model_id, prepared.root, manifest.licence, prepared.size, len(manifest.shards), len(manifest.heldout)
        )
    except Reverted as error:
        if error.name == "DuplicateRoot":
            known = chain.dataset_id_of(prepared.root)
            raise AlreadySubmitted(f"This text was registered meanwhile, as dataset {known}.") from error
        raise


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


class _Pile:
    """The pieces of a text: their bytes in a file, and in memory where each is and to which cluster it belongs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = (folder / "pieces").open("w+b")
        self._signatures = Signatures(folder / "signatures")
        self._starts = array("Q", [0])
        self._characters = array("I")
        self._known: dict[bytes, int] = {}  # 16 bytes of a piece's hash -> its number
        self.clusters = Clusters()
        self.duplicates = self.empty = self.masked = 0

    def close(self) -> None:
        self._file.close()
        self._signatures.close()
        (self.folder / "pieces").unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._characters)

    def read(self, path: Path, report: Progress) -> None:
        """Take every document of a file or folder."""
        total = sum(file.stat().st_size for file in text_files(path))
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            report("read", done, total)

        for document in read_documents(path, advance):
            text, masked = scrub(clean_text(document))
            self.masked += masked
            if has_words(text):
                self._add(text)
            else:
                self.empty += 1
        if not len(self):
            raise EmptyText(f"Nothing is left of {path} after cleaning: it holds no words. Nothing was submitted.")

    def _add(self, document: str) -> None:
        first: int | None = None
        for piece in cut(document):
            key = hashlib.sha256(" ".join(piece.lower().split()).encode()).digest()[:16]
            number = self._known.get(key)
            if number is None:
                number = self._known[key] = self.clusters.add()
                data = piece.encode()
                self._file.write(data)
                self._starts.append(self._starts[-1] + len(data))
                self._characters.append(len(piece))
                self._signatures.add(piece)
            else:
                self.duplicates += 1
            if first is None:
                first = number
            else:
                self.clusters.join(first, number)

    def split(self, report: Progress) -> bytearray:
        """For each piece whether it is held out (1); whole clusters, in the order of their hashes."""
        report("cluster", 0, 1)
        self._signatures.join_similar(self.clusters)
        sizes: dict[int, int] = {}
        names: dict[int, bytes] = {}
        for key, number in self._known.items():
            root = self.clusters.root(number)
            sizes[root] = sizes.get(root, 0) + self._characters[number]
            names[root] = min(names.get(root, key), key)
        self._known.clear()
        self.cluster_count = len(sizes)
        if len(sizes) < 2:
            raise DataError(
                "All of this text is one document (or near-copies of one), so none of it can be held out to measure "
                "what training on it is worth. Add other documents. Nothing was submitted."
            )
        chosen = _held_out(sizes, names)
        report("cluster", 1, 1)
        return bytearray(self.clusters.root(number) in chosen for number in range(len(self)))

    def pieces(self, sides: bytearray, side: int) -> Iterator[str]:
        """The pieces of one side, in order."""
        self._file.flush()
        for number in range(len(self)):
            if sides[number] == side:
                self._file.seek(self._starts[number])
                yield self._file.read(self._starts[number + 1] - self._starts[number]).decode()


def _held_out(sizes: dict[int, int], names: dict[int, bytes]) -> set[int]:
    """The clusters to hold out: by hash, until 10% of the text; never past 15% except for a single smallest one."""
    total = sum(sizes.values())
    order = sorted(sizes, key=lambda root: hashlib.sha256(b"strata/heldout" + names[root]).digest())
    chosen: set[int] = set()
    size = 0
    for root in order:
        if size >= HELDOUT_LEAST * total:
            break
        if size + sizes[root] <= HELDOUT_MOST * total:
            chosen.add(root)
            size += sizes[root]
    return chosen or {min(order, key=lambda root: (sizes[root], names[root]))}


def _shard(pile: _Pile, sides: bytearray, path: Path, about: About, report: Progress) -> Prepared:
    blobs = pile.folder / "blobs"
    blobs.mkdir()
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        report("shard", done, len(pile))

    shards = tuple(_write_shards(pile.pieces(sides, 0), blobs, advance))
    heldout = tuple(_write_shards(pile.pieces(sides, 1), blobs, advance))
    manifest = Dataset(
        name=about.name or path.resolve().name,
        licence=about.licence,
        field=about.field,
        language=about.language,
        source=about.source,
        contributor=about.contributor,
        shards=shards,
        heldout=heldout,
        clusters=pile.cluster_count,
        removed=Removed(pile.duplicates, pile.empty, pile.masked),
    )
    Dataset.from_json(manifest.to_json())  # refuse now what others would refuse later
    root = digest_bytes(canonical_json(manifest.to_json()))
    everything = (*shards, *heldout)
    size, characters = sum(shard.bytes for shard in everything), sum(shard.characters for shard in everything)
    return Prepared(manifest, root, blobs, size, characters)


def _write_shards(pieces: Iterator[str], blobs: Path, advance: Callable[[int], None]) -> Iterator[Shard]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        length = len(piece.encode())
        if held and size + length > SHARD_BYTES:
            yield _write_shard(held, blobs)
            advance(len(held))
            held, size = [], 0
        held.append(piece)
        size += length
    if held:
        yield _write_shard(held, blobs)
        advance(len(held))


def _write_shard(documents: list[str], blobs: Path) -> Shard:
    blob = canonical_json(ShardText(tuple(documents)).to_json())
    digest = digest_bytes(blob).hex()
    (blobs / digest).write_bytes(blob)
    return Shard(digest, len(blob), len(documents), sum(map(len, documents)))
