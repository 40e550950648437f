"""Who stakes what in the demo, and governance's word that its models earn emission."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from contracts.enums import Role
from devnet.layout import MINERS, STAKE_SHARES, VALIDATORS
from devnet.network import MINER_STAKE, START_SECONDS, VALIDATORS_STAKE, Devnet
from devnet.waiting import together

FULL_BPS = 10_000


def list_models(net: Devnet) -> None:
    """The council lets the models that have rounds earn emission; the decision waits in the timelock for a moment."""
    from client.council import decide, list_model

    models = [net.ids[name] for name in net.node_plan().models]
    with net.times.part("listing"):
        decide(net.chain(), [list_model(model, FULL_BPS) for model in models], START_SECONDS)
    net.say("governance lists the models: a token of emission per block of their rounds, by stake")


def place_stakes(net: Devnet, miners: Sequence[str] = MINERS) -> None:
    """Equal stakes for miners, 30/26/24/20 for validators, on each model that has rounds."""
    models = [net.ids[name] for name in net.node_plan().models]

    def place(wallet: str, role: Role, amount: int) -> None:
        chain = net.chain(wallet)
        for model in models:
            chain.stake(model, role, amount)

    works = [partial(place, name, Role.MINER, MINER_STAKE) for name in miners]
    for name, part in zip(VALIDATORS, STAKE_SHARES, strict=True):
        amount = VALIDATORS_STAKE * part // 100
        works.append(partial(place, name, Role.VALIDATOR, amount))
    with net.times.part("stakes"):
        together(works, START_SECONDS, "the stakes")
    shares = "/".join(map(str, STAKE_SHARES))
    net.say(f"{len(miners)} miners staked equally, {len(VALIDATORS)} validators {shares} per cent")
