"""Files to clean documents: read as a stream, normalise, mask personal data, cut into pieces.

Nothing here holds more than one document (at most 64 MB) in memory, whatever the file's size.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from client.errors import BinaryText, DataError, EmptyText
from client.schema import load_json

MAX_PIECE_CHARACTERS = 8_000
MAX_DOCUMENT_BYTES = 64 * 2**20
READ_BYTES = 2**18
SUFFIXES = (".txt", ".md", ".rst", ".jsonl", ".json")

Advance = Callable[[int], None]  # called with the number of bytes read since the last call

_EMAIL = re.compile(r"(?<![\w.%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}"
    r"|\(\d{3}\) ?\d{3}[-. ]\d{4}|\d{3}[-.]\d{3}[-.]\d{4})(?![\w-])"
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\uffff]"
)
_INNER_SPACE = re.compile(r"(?<=\S)[^\S\n]++(?=\S)")
_LINE_END = re.compile(r"(?<![^\S\n])[^\S\n]++(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n{3,}")
_ODD_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def clean_text(text: str) -> str:
    """Unicode NFC, one kind of line break and space, no invisible characters, at most one blank line in a row.

    Indentation stays, because programs need it; lone surrogates, which have no UTF-8, become U+FFFD.
    """
    text = text.encode("utf-8", "replace").decode("utf-8") if _has_surrogates(text) else text
    text = unicodedata.normalize("NFC", text)
    text = _UNSEEN.sub("", _BREAKS.sub("\n", text))
    text = _ODD_SPACE.sub(" ", text).replace("\t", "    ")
    text = _INNER_SPACE.sub(" ", _LINE_END.sub("", text))
    return _BLANK_LINES.sub("\n\n", text).strip("\n").rstrip()


def _has_surrogates(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def scrub(text: str) -> tuple[str, int]:
    """The text with e-mail addresses and telephone numbers masked, and how many there were."""
    emails = phones = 0
    if "@" in text:
        text, emails = _EMAIL.subn("<email>", text)

    def mask(found: re.Match[str]) -> str:
        nonlocal phones
        if not 8 <= sum(letter.isdigit() for letter in found.group()) <= 15:
            return found.group()
        phones += 1
        return "<phone>"

    return _PHONE.sub(mask, text), emails + phones


def has_words(text: str) -> bool:
    """Whether there is anything to learn from: a letter or a digit."""
    return any(letter.isalnum() for letter in text)


def cut(text: str, limit: int = MAX_PIECE_CHARACTERS) -> list[str]:
    """Pieces of at most ``limit`` characters, cut at the best border there is: paragraph, line, space, anywhere."""
    pieces = []
    start = 0
    while len(text) - start > limit:
        end = start + limit
        for border in ("\n\n", "\n", ". ", " "):
            found = text.rfind(border, start + limit // 2, end)
            if found > 0:
                end = found + len(border)
                break
        pieces.append(text[start:end].strip("\n"))
        start = end
    pieces.append(text[start:].strip("\n"))
    return [piece for piece in pieces if has_words(piece)]


# ---- reading ----


def text_files(path: Path) -> list[Path]:
    """The file itself, or every text file below a folder, in order of name; hidden ones left out."""
    if not path.exists():
        raise DataError(f"There is no file or folder {path}. Check the path.")
    if path.is_file():
        return [path]
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise EmptyText(f"{path} holds no text file ({', '.join(SUFFIXES)}).")
    return found


def read_documents(path: Path, advance: Advance | None = None) -> Iterator[str]:
    """The documents of a file or folder, raw.

    ``.jsonl``: a string or an object with "text" a line; ``.json``: a list of such. In a folder each plain file is a
    document. A plain file given by itself is cut at paragraph borders, and each piece counts as a document.
    """
    files = text_files(path)
    for file in files:
        suffix = file.suffix.lower()
        with file.open("rb") as stream:
            if suffix == ".jsonl":
                yield from _json_lines(file, stream, advance)
            elif suffix == ".json":
                yield from _json_list(file, stream, advance)
            elif len(files) > 1 and file.stat().st_size <= MAX_DOCUMENT_BYTES:
                yield "".join(_decoded(file, stream, advance))
            else:
                yield from _paragraph_pieces(_decoded(file, stream, advance))


def _decoded(file: Path, stream: BinaryIO, advance: Advance | None) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    at = 0
    while True:
        raw = stream.read(READ_BYTES)
        if at == 0 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BinaryText(f"{file} is UTF-16. Convert it first: `iconv -f UTF-16 -t UTF-8 {file.name}`.")
        if b"\0" in raw:
            raise BinaryText(
                f"{file} is not text: byte {at + raw.index(0)} is zero. Give text in UTF-8. Nothing was submitted."
            )
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise BinaryText(
                f"{file} is not UTF-8 near byte {at + error.start}. If it is text in another encoding, convert it "
                f"first, e.g. `iconv -f LATIN1 -t UTF-8 {file.name}`. Nothing was submitted."
            ) from error
        if not raw:
            return
        _refuse_controls(file, text)
        at += len(raw)
        if advance:
            advance(len(raw))
        yield text


def _refuse_controls(file: Path, text: str) -> None:
    controls = sum(1 for letter in text[:4096] if letter < " " and letter not in "\t\n\r\f\v\x1b\x08")
    if controls > len(text[:4096]) // 20 + 1:
        raise BinaryText(
            f"{file} is full of control characters: that is not text. Give text in UTF-8. Nothing was submitted."
        )


def _paragraph_pieces(parts: Iterator[str]) -> Iterator[str]:
    held = ""
    for part in parts:
        held += part
        while len(held) > 2 * MAX_PIECE_CHARACTERS:
            end = held.rfind("\n\n", MAX_PIECE_CHARACTERS // 2, MAX_PIECE_CHARACTERS) + 2
            if end < 2:
                end = held.rfind("\n", MAX_PIECE_CHARACTERS // 2, MAX_PIECE_CHARACTERS) + 1
            if end < 1:
                end = held.rfind(" ", MAX_PIECE_CHARACTERS // 2, MAX_PIECE_CHARACTERS) + 1
            if end < 1:
                end = MAX_PIECE_CHARACTERS
            yield held[:end]
            held = held[end:]
    if len(held) > MAX_PIECE_CHARACTERS:
        yield from cut(held)
    elif held:
        yield held


def _json_lines(file: Path, stream: BinaryIO, advance: Advance | None) -> Iterator[str]:
    number = 0
    while line := stream.readline(MAX_DOCUMENT_BYTES + 1):
        number += 1
        if len(line) > MAX_DOCUMENT_BYTES:
            raise DataError(f"{file}, line {number}: longer than {MAX_DOCUMENT_BYTES >> 20} MB; split it.")
        if advance:
            advance(len(line))
        if not line.strip():
            continue
        try:
            entry = load_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise BinaryText(f"{file}, line {number}: not UTF-8. Nothing was submitted.") from error
        except (ValueError, RecursionError) as error:
            kind = BinaryText if b"\0" in line else DataError
            raise kind(f"{file}, line {number}: not JSON ({error}). Nothing was submitted.") from error
        yield _text_of(entry, f"{file}, line {number}")


class _Held:
    """Text on its way from a file: what is held can be asked to grow."""

    def __init__(self, parts: Iterator[str]) -> None:
        self._parts = parts
        self.text = ""

    def grow(self) -> bool:
        """Hold at least twice as much, so that trying again stays cheap; False at the end of the file."""
        wanted, before = min(2 * len(self.text), MAX_DOCUMENT_BYTES) or 1, len(self.text)
        pieces = [self.text]
        length = before
        while length <= wanted and (part := next(self._parts, "")):
            pieces.append(part)
            length += len(part)
        self.text = "".join(pieces)
        return before < length <= 2 * MAX_DOCUMENT_BYTES

    def next_mark(self) -> str:
        """Take the next character that is not space; "" at the end."""
        while not (stripped := self.text.lstrip()):
            self.text = ""
            if not self.grow():
                return ""
        self.text = stripped[1:]
        return stripped[0]


def _json_list(file: Path, stream: BinaryIO, advance: Advance | None) -> Iterator[str]:
    """The entries of a JSON list, without holding the list."""
    decoder, held, number = json.JSONDecoder(), _Held(_decoded(file, stream, advance)), 0
    first = held.next_mark()
    if (held.next_mark() if first == "\ufeff" else first) != "[":
        raise DataError(f"{file} is not a JSON list of texts. Nothing was submitted.")
    mark = held.next_mark()
    held.text = mark + held.text
    while mark != "]":
        number += 1
        try:
            entry, end = decoder.raw_decode(held.text.lstrip())
        except (ValueError, RecursionError) as error:
            number -= 1
            if isinstance(error, ValueError) and held.grow():
                continue
            raise DataError(f"{file}, entry {number + 1}: not JSON ({error}). Nothing was submitted.") from error
        held.text = held.text.lstrip()[end:]
        yield _text_of(entry, f"{file}, entry {number}")
        mark = held.next_mark()
        if mark not in (",", "]"):
            raise DataError(f"{file} breaks off after entry {number} of its JSON list. Nothing was submitted.")


def _text_of(entry: object, where: str) -> str:
    text = entry.get("text") if isinstance(entry, dict) else entry
    if not isinstance(text, str):
        raise DataError(f'{where}: wanted a string or an object with a string "text". Nothing was submitted.')
    return text
