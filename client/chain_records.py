"""From the contracts' structs, by field name, to the records in ``client.types``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.types import ChannelInfo, DatasetInfo, DatasetStatus, ModelInfo, RoundInfo, SubmissionInfo
from contracts.enums import DeltaKind, Level, Phase, VoidReason

Raw = Mapping[str, Any]


def read_model(model_id: int, raw: Raw) -> ModelInfo:
    """``IModelRegistry.Model``."""
    return ModelInfo(
        id=model_id,
        parent_id=int(raw["parentId"]),
        level=Level(raw["level"]),
        name=raw["name"],
        field=raw["field"],
        genesis=bytes(raw["genesis"]),
        head=bytes(raw["head"]),
        head_round=int(raw["headRound"]),
        owner=raw["owner"],
    )


def read_dataset(dataset_id: int, raw: Raw) -> DatasetInfo:
    """``IDataRegistry.Dataset``."""
    return DatasetInfo(
        id=dataset_id,
        model_id=int(raw["modelId"]),
        owner=raw["owner"],
        root=bytes(raw["root"]),
        licence=raw["licence"],
        size=int(raw["bytes_"]),
        shards=int(raw["shards"]),
        heldout=int(raw["heldout"]),
        status=DatasetStatus(raw["status"]),
        accepted_block=int(raw["acceptedBlock"]),
        withdrawn_block=int(raw["withdrawnBlock"]),
        value=int(raw["value"]),
        deposit=int(raw["deposit"]),
        registered_block=int(raw["registeredBlock"]),
    )


def read_round(model_id: int, raw: Raw) -> RoundInfo:
    """``IRounds.RoundView``."""
    return RoundInfo(
        model_id=model_id,
        round=int(raw["round"]),
        phase=Phase(raw["phase"]),
        phase_end=int(raw["phaseEnd"]),
        open_block=int(raw["openBlock"]),
        score_start=int(raw["scoreStart"]),
        seed=bytes(raw["seed"]),
        evaluation_seed=bytes(raw["evaluationSeed"]),
        base_head=bytes(raw["baseHead"]),
        frozen_stake=int(raw["frozenStake"]),
        miner_count=int(raw["minerCount"]),
        commits=int(raw["commits"]),
        reveals=int(raw["reveals"]),
        scores_revealed_stake=int(raw["scoresRevealedStake"]),
        heads_revealed_stake=int(raw["headsRevealedStake"]),
        void_reason=VoidReason(raw["voidReason"]),
        head=bytes(raw["head"]),
        settled=bool(raw["settled"]),
        validator_count=int(raw["validatorCount"]),
        committee=int(raw["committee"]),
        kappa_bps=int(raw["kappaBps"]),
        quorum_bps=int(raw["quorumBps"]),
        groups_judged=int(raw["groupsJudged"]),
        consensus_known=bool(raw["consensusKnown"]),
        accepted=bool(raw["accepted"]),
        held=bool(raw["held"]),
        parent_head=bytes(raw["parentHead"]),
    )


def read_submission(index: int, raw: Raw) -> SubmissionInfo:
    """``IRounds.Submission``."""
    return SubmissionInfo(
        index=index,
        miner=raw["miner"],
        digest=bytes(raw["digest"]),
        kind=DeltaKind(raw["kind"]),
        base_head=bytes(raw["baseHead"]),
        dataset_ids=tuple(int(i) for i in raw["datasetIds"]),
        trained_tokens=int(raw["trainedTokens"]),
        consensus=int(raw["consensus"]),
        weight_q16=int(raw["weightQ16"]),
    )


def read_channel(channel_id: bytes, raw: Raw) -> ChannelInfo:
    """``IInferenceChannels.Channel``."""
    return ChannelInfo(
        id=channel_id,
        user=raw["user"],
        server=raw["server"],
        model_id=int(raw["modelId"]),
        deposit=int(raw["deposit"]),
        redeemed=int(raw["redeemed"]),
        close_block=int(raw["closeBlock"]),
    )
