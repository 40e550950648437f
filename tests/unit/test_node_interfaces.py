"""The Protocols that roles live by stay small, and the real parts keep them."""

from __future__ import annotations

import inspect

from client.chain import Chain
from client.fakes import FakeChain
from node import interfaces
from node.heads import Heads
from node.judging import Bench
from node.learner import Learner


def own_methods(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if callable(value) or isinstance(value, property)} - {
        name for name in vars(kind) if name.startswith("_")
    }


def methods(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if base.__module__ == interfaces.__name__ for name in own_methods(base)}


def protocols() -> list[type]:
    found = [
        kind for _, kind in inspect.getmembers(interfaces, inspect.isclass) if getattr(kind, "_is_protocol", False)
    ]
    return [kind for kind in found if kind.__module__ == interfaces.__name__]


def test_protocols_when_counted_then_none_has_more_than_five_methods() -> None:
    large = {kind.__name__: len(own_methods(kind)) for kind in protocols() if len(own_methods(kind)) > 5}
    assert not large


def test_parts_when_compared_then_they_have_what_the_protocols_ask_for() -> None:
    pairs: list[tuple[type, type]] = [
        (Chain, interfaces.MinerChain),
        (Chain, interfaces.ValidatorChain),
        (FakeChain, interfaces.MinerChain),
        (FakeChain, interfaces.ValidatorChain),
        (Learner, interfaces.Trainer),
        (Bench, interfaces.Judge),
        (Heads, interfaces.HeadBuilder),
    ]
    for part, protocol in pairs:
        assert methods(protocol)
        assert not methods(protocol) - set(dir(part)), f"{part.__name__} against {protocol.__name__}"
