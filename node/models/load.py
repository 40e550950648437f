"""From a genesis digest to a model that computes: fetched, checked, built, with its trained values as one vector."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from client.cid import digest_file
from client.errors import DeltaError, ManifestError
from client.manifests import Genesis
from client.storage import Store
from node.models.architecture import compute_dtype, config_of, empty_model, named_weights
from node.models.lora import B_SUFFIX, attach
from node.models.memory import keep_memory
from node.models.tokenizer import BYTES, ByteTokenizer, FileTokenizer, Tokenizer

MAX_WEIGHT_BYTES = 64 * 1024**3
MAX_TOKENIZER_BYTES = 64 * 1024**2
MAX_GENESIS_BYTES = 8 * 1024**2

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to compute. Its trained values are float32, in the genesis's order; the rest is frozen."""

    genesis: Genesis
    digest: bytes
    module: nn.Module
    tokenizer: Tokenizer
    trained: tuple[tuple[str, nn.Parameter], ...]

    @property
    def n(self) -> int:
        """How many values are trained."""
        return sum(parameter.numel() for _, parameter in self.trained)

    @property
    def frozen_layers(self) -> int:
        """How many decoder layers come before the first trained value: their result never changes."""
        layers = [_layer_of(name) for name, _ in self.trained]
        return 0 if any(layer is None for layer in layers) else min(layer for layer in layers if layer is not None)

    def get_vector(self) -> Vector:
        """A copy of all trained values, float32, in canonical order."""
        out = np.empty(self.n, dtype=np.float32)
        start = 0
        for _, parameter in self.trained:
            size = parameter.numel()
            out[start : start + size] = parameter.detach().reshape(-1).float().numpy()
            start += size
        return out

    def set_vector(self, vector: Vector) -> None:
        """Replace all trained values; raises ``DeltaError`` where the length is another."""
        if vector.shape != (self.n,):
            raise DeltaError(f"a vector of {vector.shape} values where the model trains {self.n}")
        start = 0
        with torch.no_grad():
            for _, parameter in self.trained:
                size = parameter.numel()
                values = torch.from_numpy(np.ascontiguousarray(vector[start : start + size]))
                parameter.copy_(values.reshape(parameter.shape))
                start += size

    @contextmanager
    def at(self, vector: Vector) -> Iterator[None]:
        """The model at other values, for the length of a ``with`` block; then as it was, whatever happens."""
        before = self.get_vector()
        self.set_vector(vector)
        try:
            yield
        finally:
            self.set_vector(before)


def read_genesis(store: Store, digest: bytes, timeout: float = 60.0) -> Genesis:
    """The genesis manifest of that digest."""
    return Genesis.from_bytes(store.get(digest, MAX_GENESIS_BYTES, timeout))


def load_genesis(
    store: Store, digest: bytes, cache_dir: Path, *, trainable: bool = True, timeout: float = 300.0
) -> LoadedModel:
    """The model of a genesis. ``trainable=False``: all frozen, in the quick number format (for teachers, serving).

    A LoRA model loads its base by the digest in its own genesis, so that nothing but ``digest`` has to be trusted.
    """
    keep_memory()
    genesis = read_genesis(store, digest, timeout)
    weights = _weights(store, bytes.fromhex(genesis.weights), cache_dir, timeout)
    if genesis.form == "lora":
        module, trained = _lora_module(store, genesis, weights, cache_dir, timeout)
    else:
        module, trained = _full_module(genesis, weights, trainable)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if trainable:
        for _, parameter in trained:
            parameter.requires_grad_(True)
    return LoadedModel(genesis, digest, module.eval(), _tokenizer(store, genesis, timeout), trained)


def _full_module(
    genesis: Genesis, weights: Mapping[str, torch.Tensor], trainable: bool
) -> tuple[nn.Module, tuple[tuple[str, nn.Parameter], ...]]:
    module = empty_model(config_of(genesis.config))
    names = [name for name, _ in genesis.tensors]
    quick = compute_dtype()
    values: dict[str, torch.Tensor] = {}
    for name, parameter in named_weights(module).items():
        values[name] = _checked(weights, name, parameter).to(torch.float32 if trainable and name in names else quick)
    _assign(module, values)
    return module, _trained(module, genesis)


def _lora_module(
    store: Store, genesis: Genesis, weights: Mapping[str, torch.Tensor], cache_dir: Path, timeout: float
) -> tuple[nn.Module, tuple[tuple[str, nn.Parameter], ...]]:
    if genesis.base is None or genesis.lora is None:
        raise ManifestError("a LoRA genesis must name its base and its adapter")
    base = load_genesis(store, bytes.fromhex(genesis.base), cache_dir, trainable=False, timeout=timeout)
    if base.genesis.form == "lora":
        raise ManifestError("the base of a LoRA model can't be a LoRA model itself")
    module = base.module
    attach(module, genesis.lora)
    own = {name: parameter for name, parameter in module.named_parameters() if ".lora_" in name}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(_checked(weights, name, parameter))
    trained = _trained(module, genesis)
    if any(not name.endswith(B_SUFFIX) for name, _ in trained):
        raise ManifestError("a LoRA model trains its B matrices and nothing else")
    return module, trained


def _trained(module: nn.Module, genesis: Genesis) -> tuple[tuple[str, nn.Parameter], ...]:
    """The parameters that the genesis lists, in its order, shapes checked."""
    own = dict(module.named_parameters())
    found: list[tuple[str, nn.Parameter]] = []
    for name, shape in genesis.tensors:
        if name not in own or tuple(own[name].shape) != tuple(shape):
            raise ManifestError(f"the genesis lists {name} {list(shape)}, which its config does not have")
        found.append((name, own[name]))
    return tuple(found)


def _assign(module: nn.Module, values: dict[str, torch.Tensor]) -> None:
    """Give the module these tensors; tied ones follow."""
    missing = module.load_state_dict(values, strict=False, assign=True).unexpected_keys
    if missing:
        raise ManifestError(f"weights that the config does not have: {', '.join(missing[:3])}")
    model: Any = module
    model.tie_weights()


def _checked(weights: Mapping[str, torch.Tensor], name: str, parameter: torch.Tensor) -> torch.Tensor:
    found = weights.get(name)
    if found is None or found.shape != parameter.shape:
        shape = "nothing" if found is None else list(found.shape)
        raise ManifestError(f"the weights hold {shape} where {name} {list(parameter.shape)} belongs")
    return found


def _weights(store: Store, digest: bytes, cache_dir: Path, timeout: float) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors blob, from the shared cache where it is there and whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = cache_dir / "weights" / f"{digest.hex()}.safetensors"
    if not path.exists() or digest_file(path) != digest:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="fetching-", dir=path.parent)
        os.close(handle)
        try:
            store.get_file(digest, Path(name), MAX_WEIGHT_BYTES, timeout)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ManifestError(f"the weights of {digest.hex()[:12]} are no safetensors file: {error}") from error


def _tokenizer(store: Store, genesis: Genesis, timeout: float) -> Tokenizer:
    if genesis.tokenizer == BYTES:
        return ByteTokenizer()
    data = store.get(bytes.fromhex(genesis.tokenizer), MAX_TOKENIZER_BYTES, timeout)
    return FileTokenizer(data, genesis.chat_template)


def _layer_of(name: str) -> int | None:
    parts = name.split(".")
    return next((int(part) for part in parts if part.isdigit()), None)
