"""Models and datasets of the chain in memory (a part of :class:`client.fakes.FakeChain`)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from client.errors import UnknownModel
from client.fake_channels import FakeChannels
from client.fake_ledger import refuse
from client.types import DatasetInfo, DatasetStatus, ModelInfo, Policy, Receipt
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

    def policy(self, model_id: int) -> Policy:
        """The phases' lengths."""
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
        """0 when there is none."""
        return next((d.id for d in self.ledger.datasets if d.root == root), 0)

    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo:
        """Accepted at once where the model has no validator."""
        if self.dataset_id_of(root):
            raise refuse("DuplicateRoot", root)
        number, owner = len(self.ledger.datasets) + 1, self.address
        info = DatasetInfo(number, model_id, owner, root, licence, size, shards, heldout, DatasetStatus.PENDING, 0, 0)
        self._do(lambda: self.ledger.datasets.append(info))
        if not self.members(model_id, Role.VALIDATOR):
            self._set_status(number, DatasetStatus.ACCEPTED)
        return self.dataset(number)

    def _set_status(self, dataset_id: int, status: DatasetStatus) -> None:
        at = self.ledger.block_number if status == DatasetStatus.ACCEPTED else 0
        info = self.ledger.datasets[dataset_id - 1]
        self.ledger.datasets[dataset_id - 1] = replace(info, status=status, accepted_block=at)

    def vote_dataset(self, dataset_id: int, accept: bool) -> Receipt:
        """More than half of the stake decides."""
        info, votes = self.dataset(dataset_id), self.ledger.votes[dataset_id]
        if self.address in votes:
            raise refuse("AlreadyVoted", self.address)
        receipt = self._do(lambda: votes.__setitem__(self.address, accept))
        total = self.total_stake(info.model_id, Role.VALIDATOR)
        for said, status in ((True, DatasetStatus.ACCEPTED), (False, DatasetStatus.REJECTED)):
            stake = sum(self.stake_of(v, info.model_id, Role.VALIDATOR) for v, vote in votes.items() if vote is said)
            if info.status == DatasetStatus.PENDING and stake * 2 > total:
                self._set_status(dataset_id, status)
        return receipt

    def withdraw_dataset(self, dataset_id: int) -> Receipt:
        """Out of future rounds."""
        info = replace(self.dataset(dataset_id), status=DatasetStatus.WITHDRAWN)
        receipt = self._do(lambda: None)
        self.ledger.datasets[dataset_id - 1] = replace(info, withdrawn_block=self.ledger.block_number)
        return receipt

    def has_voted(self, dataset_id: int, validator: str) -> bool:
        """Whether it did."""
        return validator in self.ledger.votes[dataset_id]
