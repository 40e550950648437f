"""The numbered words that contracts and Python share. The values are part of the protocol."""

from enum import IntEnum


class Level(IntEnum):
    """A model's level in the tree (``ModelRegistry``)."""

    GLOBAL = 0
    LANGUAGE = 1
    FIELD = 2
    SUBFIELD = 3
    USER = 4


class Role(IntEnum):
    """What a stake is for (``Staking``)."""

    NONE = 0
    MINER = 1
    VALIDATOR = 2


class Phase(IntEnum):
    """A round's phases (``Rounds``), in order; the last two end it."""

    NONE = 0
    TRAIN = 1
    COMMIT = 2
    REVEAL = 3
    SCORE = 4
    SCORE_REVEAL = 5
    ATTEST = 6
    ATTEST_REVEAL = 7
    FINAL = 8
    VOID = 9


class DeltaKind(IntEnum):
    """What produced a delta."""

    TRAIN = 0
    DISTIL = 1
    UPSTREAM = 2


class ScoreReason(IntEnum):
    """Why a validator gave a delta the score that it did; anything but ``OK`` goes with a score of zero."""

    OK = 0
    UNAVAILABLE = 1
    BAD_FORM = 2
    NO_GAIN = 3
    NOT_ASSIGNED = 4
    COPY = 5
    FORGETS = 6


class VoidReason(IntEnum):
    """Why a round ended without a new head."""

    NONE = 0
    EMPTY = 1
    NO_SEED = 2
    NO_SCORE_QUORUM = 3
    NO_HEAD_QUORUM = 4


class RewardKind(IntEnum):
    """What a payment was for (``Rewards``)."""

    MINER = 0
    VALIDATOR = 1
    DATA = 2
    DIVIDEND = 3
    SERVER = 4
    TREASURY = 5
    ARCHIVE = 6
    DELEGATION = 7
