"""A miner of several peers, on one machine or many. They trust each other; strangers are let in nowhere.

From the bottom up:

    settings   who belongs to a team; what averaging gave
    links      libp2p connections of the team's own, and Hivemind's all-reduce; the only file that knows Hivemind
    fakes      the same in memory, with cuts and deaths to order
    meeting    barriers at the leader, who goes on without those that stay away
    lead       who leads: terms, silence, votes, and two leaders that meet after a split
    average    one average: join, all-reduce, check, redo or fall back
    session    a round's training together: averages every K steps, who comes late, who trains on which rows
    handover   what the stand-in holds, so that it can reveal what the leader committed to
    standby    both ends of a handover
    crew       one peer: it leads or follows, and answers the others
    round      a peer's way through one round
    inner      the round inside the inner loop (the only file here with a model)
    work       what a miner does as one of a team
    role       a team from a node's settings

``node.team.Team`` puts them together.
"""
