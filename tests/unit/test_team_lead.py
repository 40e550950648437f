"""Who leads a team: silence, votes, splits."""

from __future__ import annotations

import pytest

from client.errors import SwarmError
from node.teams.lead import Claim, Leadership, read_claim
from node.teams.settings import Contact
from tests.unit.team_world import World, run

SILENCE = 6.0


def test_leader_when_all_are_here_then_rank_zero_leads_and_knows_everybody() -> None:
    async def main() -> None:
        world = World(3)
        crews = await world.open()
        assert world.leaders() == ["p0"]
        assert [contact.peer_id for contact in crews[0].lead.alive(world.clock())] == ["p0", "p1", "p2"]
        assert crews[2].lead.leader is not None and crews[2].lead.leader.peer_id == "p0"

    run(main)


def test_stand_in_when_the_leader_dies_then_it_leads_the_next_term_and_the_others_follow() -> None:
    async def main() -> None:
        world = World(3)
        crews = await world.open()
        world.net.dead.add("p0")
        await world.beat(2, 1.0)
        assert world.leaders() == [], "the leader was silent for a moment only"
        await world.beat(4, SILENCE / 2)
        assert world.leaders() == ["p1"]
        assert crews[1].lead.term == 2
        assert crews[2].lead.leader is not None and crews[2].lead.leader.peer_id == "p1"
        assert not crews[1].lead.is_minority(world.clock())

    run(main)


def test_stand_in_when_others_hear_the_leader_then_it_is_cut_off_and_does_not_lead() -> None:
    async def main() -> None:
        world = World(3)
        crews = await world.open()
        world.net.split(["p0"], ["p1"])
        await world.beat(8, SILENCE / 2)
        assert world.leaders() == ["p0"] and crews[1].cut_off
        assert world.told("team_cut_off") == ["p1"]
        world.net.heal()
        await world.beat()
        assert not crews[1].cut_off and not crews[1].lead.is_silent(world.clock())

    run(main)


def test_split_when_it_heals_then_the_smaller_side_joins_the_larger() -> None:
    async def main() -> None:
        world = World(4)
        crews = await world.open()
        world.net.split(["p0"], ["p1", "p2", "p3"])
        await world.beat(5, SILENCE / 2)
        assert world.leaders() == ["p0", "p1"]
        assert crews[0].lead.is_minority(world.clock()) and not crews[1].lead.is_minority(world.clock())
        world.net.heal()
        await world.beat(2, 1.0)
        assert world.leaders() == ["p1"], "three peers against one"
        assert crews[0].lead.leader == crews[1].me
        assert set(world.told("team_split")) == {"p0", "p1"}

    run(main)


def test_split_when_the_leader_kept_most_then_the_stand_in_gives_way() -> None:
    async def main() -> None:
        world = World(4)
        crews = await world.open()
        world.net.split(["p1"], ["p0", "p2", "p3"])
        await world.beat(5, SILENCE / 2)
        assert world.leaders() == ["p0", "p1"] and crews[1].lead.is_minority(world.clock())
        world.net.heal()
        await world.beat(2, 1.0)
        assert world.leaders() == ["p0"]
        term = crews[0].lead.term
        await world.beat(2, 1.0)
        assert term > 2 and all(crew.lead.term == term for crew in crews), "a term after both"

    run(main)


def test_leader_when_it_comes_back_then_it_follows_whoever_stands_in() -> None:
    async def main() -> None:
        world = World(2)
        await world.open()
        world.net.dead.add("p0")
        await world.beat(5, SILENCE / 2)
        assert world.leaders() == ["p1"]
        world.net.dead.clear()
        world.crews[0] = world.make(0)
        await world.crews[0].open([Contact("p1", 1)], term=1)
        assert world.leaders() == ["p1"]

    run(main)


def test_leader_when_it_restarts_before_anybody_noticed_then_the_stand_in_leads() -> None:
    async def main() -> None:
        world = World(2)
        await world.open()
        world.crews[0] = world.make(0)
        await world.crews[0].open([Contact("p1", 1)])
        await world.beat()
        assert world.leaders() == ["p1"], "it is in the middle of a round, the other has lost all"

    run(main)


def test_member_when_it_may_not_lead_then_it_waits_for_a_leader() -> None:
    async def main() -> None:
        world = World(3)
        await world.open()
        world.net.dead |= {"p0", "p1"}
        await world.beat(20, SILENCE)
        assert world.leaders() == []

    run(main)


def test_grant_when_the_term_was_granted_then_not_to_another() -> None:
    lead = Leadership(Contact("m", 2), SILENCE, 0.0)
    assert lead.grant(Contact("a", 0), 4, 100.0)
    assert not lead.grant(Contact("b", 1), 4, 100.0)
    assert not lead.grant(Contact("c", 2), 5, 100.0), "it does not hold the wallet"
    assert not lead.grant(Contact("b", 1), 2**53, 100.0), "a term without end could never be followed"


def test_follow_when_the_term_is_an_earlier_one_then_not() -> None:
    lead = Leadership(Contact("m", 2), SILENCE, 0.0, term=5)
    view = {"term": 4, "leading": True, "leader": Contact("a", 0).to_json(), "members": []}
    assert not lead.follow(view, 1.0)
    assert lead.follow({**view, "term": 5}, 1.0)


@pytest.mark.parametrize("term", [None, -1, 2**53, "1", True])
def test_follow_when_the_view_is_malformed_then_swarm_error(term: object) -> None:
    with pytest.raises(SwarmError):
        Leadership(Contact("m", 2), SILENCE, 0.0).follow({"term": term, "leader": None}, 1.0)


def test_claims_when_compared_then_size_counts_before_term_before_rank() -> None:
    assert Claim(3, 1, -1, "a") > Claim(2, 9, 0, "b") > Claim(2, 8, 0, "c") > Claim(2, 8, -1, "d")
    contact = Contact("a", 1, ("/x",)).to_json()
    assert read_claim({"side": 2, "term": 3, "contact": contact})[0] == Claim(2, 3, -1, "a")
    for wrong in ({"side": 0}, {"side": 10**9}, {"term": None}, {"contact": {"id": "a"}}):
        with pytest.raises(SwarmError):
            read_claim({"side": 2, "term": 3, "contact": contact, **wrong})
