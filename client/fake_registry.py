"""Models and datasets of the chain in memory (a part of :class:`client.fakes.FakeChain`)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from client.errors import UnknownModel
from client.fake_channels import FakeChannels
from client.fake_ledger import refuse
from client.fake_stake import BALLOT_BLOCKS, FakeBallot
from client.types import FULL_VALUE, DatasetInfo, DatasetStatus, ModelInfo, Policy, Receipt
from contracts.enums import Level, Role


class FakeRegistry(FakeChannels):
    """What is registered, and the vote on it."""

    @abstractmethod
    def _alive(self) -> None: ...

    def models(self) -> list[ModelInfo]:
        """All models by id."""
        self._alive()
        return list(self.ledger.models)

    def model(self, name_or_id: str | int) -> ModelInfo:
        """By name or number."""
        for model in self.models():
            if name_or_id in (model.id, model.name, str(model.id)):
                return model
        raise UnknownModel(f"There is no model {name_or_id!r}. See `strata models`.")

    def head(self, model_id: int, block: int | None = None) -> bytes:
        """The head's digest."""
        return self.model(model_id).head

    def policy(self, model_id: int, block: int | None = None) -> Policy:
        """The rules."""
        return self.ledger.policies[model_id - 1]

    def register_model(
        self, parent_id: int, level: Level, name: str, field: str, genesis: bytes, policy: Policy
    ) -> ModelInfo:
        """Registers a model."""
        if any(model.name == name for model in self.ledger.models):
            raise refuse("NameTaken", name)
        number = len(self.ledger.models) + 1
        owner = self.address
        model = ModelInfo(number, parent_id, level, name, field, genesis, genesis, 0, owner)

        def act() -> None:
            self.ledger.models.append(model)
            self.ledger.policies.append(policy)
            facts = {"level": int(level), "name": name, "field": field, "genesis": genesis, "owner": owner}
            self.ledger.emit("ModelRegistry", "ModelRegistered", id=number, parentId=parent_id, **facts)

        self._do(act)
        return model

    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]:
        """All datasets, or one model's."""
        return [d for d in self.ledger.datasets if model_id is None or d.model_id == model_id]

    def dataset(self, dataset_id: int, block: int | None = None) -> DatasetInfo:
        """One dataset."""
        if not 0 < dataset_id <= len(self.ledger.datasets):
            raise refuse("UnknownDataset", dataset_id)
        return self.ledger.datasets[dataset_id - 1]

    def dataset_id_of(self, root: bytes) -> int:
        """0 when nothing with that root is pending or was accepted."""
        held = [d.id for d in self.ledger.datasets if d.root == root and (d.accepted_block or d.status == 0)]
        return held[-1] if held else 0

    def dataset_deposit(self) -> int:
        """What a registration leaves behind."""
        return self.ledger.deposit

    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo:
        """Announces, and registers one block later; accepted at once where the model's owner is alone with it."""
        if self.dataset_id_of(root):
            raise refuse("DuplicateRoot", root)
        self._do(lambda: self.ledger.emit("DataRegistry", "DatasetAnnounced", commitment=root))
        number, owner = len(self.ledger.datasets) + 1, self.address

        def act() -> None:
            self._take(self.ledger.tokens, self.ledger.deposit)
            facts = (number, model_id, owner, root, licence, size, shards, heldout, DatasetStatus.PENDING, 0, 0)
            self.ledger.datasets.append(DatasetInfo(*facts, 0, self.ledger.deposit, self.ledger.block_number))
            args = {"root": root, "licence": licence, "bytes_": size, "shards": shards, "heldout": heldout}
            self.ledger.emit("DataRegistry", "DatasetRegistered", id=number, modelId=model_id, owner=owner, **args)
            if self.model(model_id).owner == owner and not self.members(model_id, Role.VALIDATOR):
                self._accept(number, FULL_VALUE)

        self._do(act)
        return self.dataset(number)

    def _change(self, dataset_id: int, **changes: Any) -> None:
        self.ledger.datasets[dataset_id - 1] = replace(self.ledger.datasets[dataset_id - 1], **changes)

    def _accept(self, dataset_id: int, value: int) -> None:
        block = self.ledger.block_number
        self._change(dataset_id, status=DatasetStatus.ACCEPTED, accepted_block=block, value=value)
        self.ledger.emit("DataRegistry", "DatasetAccepted", id=dataset_id, blockNumber=block, value=value)

    def vote_dataset(self, dataset_id: int, accept: bool, value: int = FULL_VALUE) -> Receipt:
        """A vote in the open ballot; the first one opens it, with the stakes of the block before."""

        def act() -> None:
            info = self.dataset(dataset_id)
            if info.status not in (DatasetStatus.PENDING, DatasetStatus.ACCEPTED):
                raise refuse("WrongStatus", int(info.status))
            ballot = self._ballot(dataset_id) or self._open_ballot(info)
            stake = ballot.electorate.get(self.address, 0)
            if not stake:
                raise refuse("NotValidator", self.address)
            if self.address in ballot.votes:
                raise refuse("AlreadyVoted", self.address)
            ballot.votes[self.address] = (accept, value)
            said = {"validator": self.address, "accept": accept, "value": value, "stake": stake}
            self.ledger.emit("DataRegistry", "DatasetVoted", id=dataset_id, **said)
            self._decide(info, ballot)

        return self._do(act)

    def _ballot(self, dataset_id: int) -> FakeBallot | None:
        """The one that is open."""
        ballot = self.ledger.ballots.get(dataset_id)
        over = ballot is None or ballot.decided or self.ledger.block_number >= ballot.start + BALLOT_BLOCKS
        return None if over else ballot

    def _open_ballot(self, info: DatasetInfo) -> FakeBallot:
        block = self.ledger.block_number
        electorate = dict(self.ledger.members(info.model_id, Role.VALIDATOR, block - 1))
        self.ledger.ballots[info.id] = FakeBallot(block, electorate)
        return self.ledger.ballots[info.id]

    def _decide(self, info: DatasetInfo, ballot: FakeBallot) -> None:
        total = sum(ballot.electorate.values())
        accepting, rejecting = ballot.stake(True), ballot.stake(False)
        pending = info.status == DatasetStatus.PENDING
        ballot.decided = True
        if accepting * 2 > total:
            if pending:
                self._accept(info.id, ballot.median())
            else:
                self._change(info.id, value=ballot.median())
                self.ledger.emit("DataRegistry", "DatasetValued", id=info.id, value=ballot.median())
        elif pending and rejecting * 2 > total:
            self._change(info.id, status=DatasetStatus.REJECTED, deposit=0)
            self.ledger.emit("DataRegistry", "DatasetRejected", id=info.id)
        elif not pending and rejecting * 3 >= total * 2:
            block = self.ledger.block_number
            self._change(info.id, status=DatasetStatus.REMOVED, withdrawn_block=block)
            self.ledger.emit("DataRegistry", "DatasetRemoved", id=info.id, blockNumber=block)
        else:
            ballot.decided = False

    def withdraw_dataset(self, dataset_id: int) -> Receipt:
        """Out of future rounds; a pending one only once its validators have had their time."""

        def act() -> None:
            info, block = self._own(dataset_id), self.ledger.block_number
            if info.status not in (DatasetStatus.PENDING, DatasetStatus.ACCEPTED):
                raise refuse("WrongStatus", int(info.status))
            ballot = self.ledger.ballots.get(dataset_id)
            until = (ballot.start if ballot else info.registered_block) + BALLOT_BLOCKS
            if info.status == DatasetStatus.PENDING and block < until:
                raise refuse("StillJudged", until)
            self._change(dataset_id, status=DatasetStatus.WITHDRAWN, withdrawn_block=block)
            self.ledger.emit("DataRegistry", "DatasetWithdrawn", id=dataset_id, blockNumber=block)

        return self._do(act)

    def reclaim_deposit(self, dataset_id: int) -> Receipt:
        """The deposit goes back to the owner."""

        def act() -> None:
            info = self._own(dataset_id)
            if not info.deposit or info.status == DatasetStatus.PENDING:
                raise refuse("NothingToReclaim", dataset_id)
            self._change(dataset_id, deposit=0)
            self.ledger.tokens[info.owner] += info.deposit
            paid = {"owner": info.owner, "amount": info.deposit}
            self.ledger.emit("DataRegistry", "DepositReturned", id=dataset_id, **paid)

        return self._do(act)

    def _own(self, dataset_id: int) -> DatasetInfo:
        info = self.dataset(dataset_id)
        if info.owner != self.address:
            raise refuse("NotOwner", self.address)
        return info

    def has_voted(self, dataset_id: int, validator: str) -> bool:
        """Whether it did, in the open ballot."""
        ballot = self._ballot(dataset_id)
        return ballot is not None and validator in ballot.votes
