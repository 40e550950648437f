"""The attack laboratory: hostile members in real networks on this machine, and what they got for it.

``strata devnet attack NAME`` brings up a network whose last miner runs ``devnet.attacks.node``: the node's own program
with what it trains, or what it sends, replaced by an attack. Chain, storage, validators and the other miners are the
real ones, and know nothing of it. To add an attack, write a small class in ``devnet.attacks.miners``.
"""
