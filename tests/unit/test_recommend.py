"""Which model fits: by meaning, by words where that is not installed, and by what a person can pay and hold."""

from __future__ import annotations

import pytest

from client.catalog import Card, Catalog, sample_sentences
from client.errors import NotFound, UnknownModel
from client.recommend import MeaningScorer, Needs, Recommender, Scorer, WordScorer, load_scorer
from client.storage import MemoryStore
from contracts.enums import Level
from tests.serving_fakes import ChannelBank

CARDS = [
    Card(1, "global", Level.GLOBAL, "general", 0, "", 0, "en", "A general assistant", parameters=134_000_000),
    Card(
        *(2, "law", Level.FIELD, "law", 1, "", 0, "en", "Licences and legal texts: rights, duties, liability"),
        parameters=1_000_000,
        samples=("Permission is hereby granted to use, copy, modify and distribute this software.",),
    ),
    Card(3, "computing", Level.FIELD, "computing", 1, "", 0, "en", "Programming in Python: statements, types, loops"),
]


@pytest.fixture(scope="module", params=["meaning", "words"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    found = load_scorer() if request.param == "meaning" else WordScorer()
    if found.kind != request.param:
        pytest.skip("the embedding packages are not installed")
    return found


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("May I copy, modify and distribute this software? What are my rights and duties?", "law"),
        ("What are the rights that licences give?", "law"),
        ("How do loops and types work when programming in Python?", "computing"),
        ("How far is the moon?", "global"),
        ("Tell me a story about a dragon", "global"),
    ],
)
def test_choose_when_a_question_is_of_a_field_then_its_model_else_the_global(
    scorer: Scorer, question: str, name: str
) -> None:
    best = Recommender(scorer).choose(question, CARDS)
    assert best.card.name == name and best.reasons


def test_rank_when_asked_twice_then_the_same(scorer: Scorer) -> None:
    recommender = Recommender(scorer)
    assert recommender.rank("loops in Python", CARDS) == recommender.rank("loops in Python", CARDS)


def test_rank_when_needs_are_given_then_misfits_fall_and_say_why(scorer: Scorer) -> None:
    question = "What are the rights that licences give?"
    recommender = Recommender(scorer)
    poor = recommender.rank(question, CARDS, Needs(max_price_wei=5), {1: 1, 2: 9, 3: 1})
    assert poor[0].card.name == "global" and "budget" in poor[-1].reasons[-1] and poor[-1].card.name == "law"
    small = recommender.rank(question, CARDS, Needs(max_parameters=2_000_000))
    assert small[0].card.name == "law" and small[-1].card.name == "global"
    german = recommender.rank(question, CARDS, Needs(language="de"))
    assert all("de" in found.reasons[-1] for found in german)


def test_rank_when_prices_are_given_then_only_served_models_are_ranked() -> None:
    assert [found.card.id for found in Recommender(WordScorer()).rank("x", CARDS, Needs(), {3: 1})] == [3]
    with pytest.raises(UnknownModel):
        Recommender(WordScorer()).choose("x", CARDS, Needs(), {})


@pytest.mark.parametrize("question", ["", " ", "\x00", "?" * 10_000, "日本語の質問", "🙂"])
def test_rank_when_the_question_is_odd_then_it_still_answers(scorer: Scorer, question: str) -> None:
    assert len(Recommender(scorer).rank(question, CARDS)) == 3


def test_scorer_when_both_packages_are_installed_then_meaning_is_used() -> None:
    assert isinstance(load_scorer(), MeaningScorer | WordScorer)


def test_catalog_when_a_name_is_unknown_then_the_error_lists_what_there_is() -> None:
    catalog = Catalog(ChannelBank().of(""), None)
    assert catalog.card("law").id == catalog.card(2).id == catalog.card("2").id == 2
    with pytest.raises(UnknownModel, match="global, law, unserved"):
        catalog.card("nothing")


def test_catalog_when_nobody_gives_the_models_content_then_a_refresh_stays_short_and_asks_more_rarely() -> None:
    now, asked = [0.0], []

    class Nobody(MemoryStore):
        def get(self, digest: bytes, max_bytes: int, timeout: float = 60.0) -> bytes:
            asked.append(now[0])
            now[0] += timeout
            raise NotFound("nobody gave it")

    catalog = Catalog(ChannelBank().of(""), Nobody(), clock=lambda: now[0])
    assert [card.name for card in catalog.cards()] == ["global", "law", "unserved"]
    assert len(asked) == 1
    for _ in range(200):
        now[0] += 30
        catalog.cards()
    assert len(asked) < 40


def test_samples_when_documents_are_long_then_a_few_spread_passages() -> None:
    document = "\n\n".join(f"This is the passage number {n}, long enough to say something." for n in range(100))
    found = sample_sentences([document], 5)
    assert len(found) == 5 and "number 0" in found[0] and "number 80" in found[4]
