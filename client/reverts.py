"""Sentences for the contracts' errors: what happened, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.enums import Phase

PANICS = {
    0x01: "an assertion failed",
    0x11: "a sum over- or underflowed",
    0x12: "a division by zero",
    0x21: "a number that is no member of its enum",
    0x32: "an index out of bounds",
}

SENTENCES = {
    "AlreadyCommitted": "This account has committed in this round already; the first commitment stands.",
    "AlreadyRevealed": "This account has revealed in this round already; the first reveal stands.",
    "AlreadyVoted": "This validator has voted in that dataset's open ballot already.",
    "NotCommitted": "This account committed nothing in this round, so there is nothing to reveal.",
    "CommitmentMismatch": "What was revealed is not what was committed (value, salt, sender or round differ).",
    "NotEnrolled": (
        "This account has no stake of that kind that counted when the round opened. Stake first: `strata stake add`."
    ),
    "WrongRound": "That is not the model's current round.",
    "BadLength": "The number of scores or reasons is not the number of submissions that were dealt to this validator.",
    "DuplicateDigest": "Another miner revealed the same delta before.",
    "DuplicateRoot": "A dataset with the same content is registered already; see `strata data list`.",
    "TooEarly": "It is too early for that; wait some blocks and try again.",
    "VoucherOverDeposit": "The voucher is for more than the channel holds. Top the channel up.",
    "BadVoucher": "The voucher is not signed by the channel's user, or not for this channel.",
    "NothingToRedeem": "The voucher pays nothing beyond what was redeemed before.",
    "NothingToWithdraw": "No unstaked amount has matured yet. See `strata stake show`.",
    "NameTaken": "A model of that name is registered already. Choose another name.",
    "UnknownModel": "There is no model with that number.",
    "UnknownDataset": "There is no dataset with that number.",
    "ERC20InsufficientBalance": "The account lacks the tokens for that. See `strata balance`.",
    "ERC20InsufficientAllowance": "The contract may not take so many tokens from the account; approve them first.",
    "ERC20ExceededCap": "No more tokens can be minted: the cap is reached.",
    "InsufficientStake": "The account has less stake than that. See `strata stake show`.",
    "BadDatasetId": "A dataset that the delta names is not usable in this round.",
    "WrongBase": "The delta starts from another head than the round's.",
    "NotEnoughMembers": "A round needs a miner and a validator, staked in an earlier block. See `strata stake add`.",
    "NotValidator": "Only validators whose stake counted before the ballot began may vote on the dataset.",
    "NotOwner": "Only the dataset's owner may do that.",
    "WrongStatus": "The dataset is not in a state in which that can be done; see `strata data show`.",
    "BadDataset": (
        "The dataset's registration is incomplete or out of bounds (root, shards up to 100,000, "
        "no more held out than trained on, bytes, a licence of 1 to 64 bytes)."
    ),
    "BadName": "The name or field is empty or longer than 64 bytes.",
    "BadLevel": "A root must be global, and a child's level must be below its parent's.",
    "BadPolicy": "Each phase must last 2 to 100,000 blocks.",
    "NotDropped": "This validator was not dropped, so it needs not rejoin.",
    "ZeroAmount": "The amount is zero.",
    "ZeroDigest": "A digest or commitment of zero is none.",
    "BadKind": "That kind of delta is not known.",
    "BadScore": "A score is too high, or its reason does not fit it.",
    "BadServer": "A channel needs a server's address.",
    "TooManyUnbondings": "Too many withdrawals wait at once; take out what has matured: `strata stake withdraw`.",
    "ERC20InvalidReceiver": "Tokens can't be sent to that address.",
    "UnknownChannel": "There is no such channel, or it is closed.",
    "Closing": "The channel is closing.",
    "NotUser": "Only the channel's user may do that.",
    "NotServer": "Only the channel's server may do that.",
    "TooManyMembers": (
        "All seats of that role are taken by others with at least as much stake. Stake more than the lowest."
    ),
    "NotAnnounced": "The dataset was not announced in an earlier block. Submit it again: it is announced first.",
    "TooManyVotes": "The ballot on that dataset has as many votes as it can hold.",
    "StillJudged": "Validators are voting on that dataset; it can be withdrawn from that block on.",
    "NothingToReclaim": (
        "No deposit of that dataset can be taken back (it waits for the vote, was rejected, or is paid already)."
    ),
    "BadValue": "A dataset's value goes from 0 to 10,000 basis points.",
    "BadSetting": "That setting is out of its bounds.",
    "BadThreshold": "A committee, threshold, emission part or minimum stake of the policy is out of its bounds.",
    "RoundTooLong": "The policy's phases make a longer round than the network's unbonding time allows. Shorten them.",
    "NotEligible": (
        "The account's own stake is below the model's minimum, or it was dropped: it gets no "
        "seat. Stake more or rejoin."
    ),
    "RejoinTooSoon": (
        "A validator that was dropped, or gave its seat up, must stay away a while; come back from that block on."
    ),
    "BadCommission": "A commission can be 50 % at most.",
    "Paused": (
        "The guardian has paused openings: no round opens before that block. Live rounds go on; see `strata gov`."
    ),
    "NotFinal": "The round has not ended with a head, or is not settled yet.",
    "TooLate": "The round is too long ago: its rewards have vested or were taken back, or its stake may have left.",
    "AlreadyChallenged": "This validator has objected to that round already.",
    "AlreadyProven": "A conflict of that validator was proven before, less than the unbonding time ago.",
    "NoConflict": "Both statements name the same head; that is no conflict.",
    "BadSignature": "The validator did not sign that head for that round.",
    "BadPause": "A pause lasts 1 to 50,400 blocks.",
    "PauseTooSoon": "The last pause ended too short a while ago.",
    "AccessManagedUnauthorized": (
        "Only governance may do that, by a decision that waits in the timelock; see `strata gov`."
    ),
    # Rights between our own contracts, and settings: who meets one of these has found a fault, or has a wrong file.
    "NotRounds": "Only the network's Rounds contract may do that.",
    "NotChannels": "Only the network's InferenceChannels contract may do that.",
    "NotStaking": "Only the network's Staking contract may do that.",
    "NotMinter": "Only the network's Rewards contract mints tokens.",
    "NotDeployer": "Only the account that deployed the contract may wire it, once.",
    "AlreadyInitialized": "The contract is wired already; that happens once.",
    "ZeroAddress": "An address that is needed is zero.",
    "AlreadyBegun": "That round's rewards are being paid already.",
    "NotSettling": "That round's rewards are not being paid now.",
    "NotVoidable": "That round's rewards can't be voided: it paid nothing, was voided before, or they have vested.",
    "LengthMismatch": "There are not as many owners as there are weights.",
    "BadRole": "A role is 1 (miner) or 2 (validator).",
    "BadSlash": "No more than half of a stake can be slashed at once.",
    "BadSplit": "A part of the table of splits is out of its bounds, or the parts don't sum up to 10,000 basis points.",
    "BadDelay": "The delay for closing a channel is out of its bounds.",
    "VestingTooLong": "The vesting time is longer than the contract allows.",
    # OpenZeppelin's.
    "ERC20InvalidApprover": "The zero address can't approve anything.",
    "ERC20InvalidSender": "The zero address has no tokens to send.",
    "ERC20InvalidSpender": "The zero address can't be let to take tokens.",
    "ERC20InvalidCap": "The cap of the token can't be zero.",
    "ERC2612ExpiredSignature": "The signed leave to take tokens has expired. Give the command again.",
    "ERC2612InvalidSigner": "The leave to take tokens was signed by somebody else, or for other amounts.",
    "InvalidAccountNonce": "That signature was used before, or another one must be used first. Give the command again.",
    "ECDSAInvalidSignature": "The signature is none.",
    "ECDSAInvalidSignatureLength": "The signature does not have 65 bytes.",
    "ECDSAInvalidSignatureS": "The signature is in a form that could be forged from another; sign anew.",
    "SafeERC20FailedOperation": "The token refused the transfer.",
    "ReentrancyGuardReentrantCall": "The contract was called from within its own call, which it refuses.",
    "SafeCastOverflowedUintDowncast": "The number is larger than the contract can keep.",
    "CheckpointUnorderedInsertion": "A record of the past can't be changed.",
    "AddressEmptyCode": "There is no contract at that address.",
    "FailedCall": "A call that the contract made failed, and gave no reason.",
    "InsufficientBalance": "The contract lacks the coins for that call.",
    "InvalidShortString": "A text that the contract keeps is spoilt.",
    "StringTooLong": "The text is too long.",
    "AccessManagedInvalidAuthority": "There is no contract at the authority's address.",
    "AccessManagedRequiredDelay": "That must be scheduled and wait for its delay before it is done.",
    "AccessManagerAlreadyScheduled": "That is scheduled already; it can be done when its delay has passed.",
    "AccessManagerNotScheduled": "That was not scheduled, or was cancelled.",
    "AccessManagerNotReady": "What was scheduled still waits for its delay.",
    "AccessManagerExpired": "What was scheduled waited too long and has expired. Schedule it again.",
    "AccessManagerLockedRole": "That role can't be changed.",
    "AccessManagerBadConfirmation": "A role can be given up only by the account that holds it.",
    "AccessManagerInvalidInitialAdmin": "The zero address can't administer the authority.",
    "AccessManagerUnauthorizedAccount": "The account lacks the role for that; see `strata gov`.",
    "AccessManagerUnauthorizedCall": "The account may not call that function; see `strata gov`.",
    "AccessManagerUnauthorizedCancel": "Only who scheduled it, or a guardian of it, may cancel that.",
    "AccessManagerUnauthorizedConsume": "Only the contract that the call is for may use up its schedule.",
    "AccessControlUnauthorizedAccount": "The account lacks that role of the timelock; see `strata gov`.",
    "AccessControlBadConfirmation": "A role can be given up only by the account that holds it.",
    "TimelockInsufficientDelay": "The timelock's delay is longer than that.",
    "TimelockInvalidOperationLength": "There are not as many targets as there are values and calls.",
    "TimelockUnauthorizedCaller": "Only the timelock itself may do that, by a decision that has waited.",
    "TimelockUnexecutedPredecessor": "Another decision has to be executed first.",
    "TimelockUnexpectedOperationState": "That decision is not in a state for that: unknown, still waiting, or done.",
}


def sentence(name: str, names: Sequence[str], arguments: Sequence[Any]) -> str:
    """The error in words, with its name and arguments for the log."""
    if name == "WrongPhase" and len(arguments) >= 2:
        actual, wanted = (_phase(value) for value in arguments[:2])
        words = f"The round is in phase {actual}; that needs {wanted}. Look with `strata rounds`."
    else:
        words = SENTENCES.get(name, "The contract refused.")
    shown = ", ".join(
        f"{key}={_show(value)}" if key else _show(value) for key, value in zip(names, arguments, strict=True)
    )
    return f"{words} [{name}({shown})]"


def _phase(value: Any) -> str:
    try:
        return Phase(value).name
    except ValueError:
        return str(value)


def _show(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
