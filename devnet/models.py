"""The demo's models: their first weights, put on IPFS, and their genesis manifests.

``default`` is the real thing: SmolLM2-135M-Instruct, a LoRA adapter on it, and a student with some of its layers.
``nano`` is the same tree at half a million values that read bytes, so that the whole network fits into a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import ConfigError
from client.manifests import Compression, Evaluation, Genesis, Inner, Lora, Outer
from client.recipe import SPARSE, SPARSE_OUTER
from client.storage import Store
from client.types import Policy
from contracts.enums import Level

if TYPE_CHECKING:
    import torch

Progress = Callable[[str], None]

PRESETS = ("default", "nano")

POLICIES = {
    "default": Policy(400, 100, 120, 500, 120, 300, 120),
    "nano": Policy(90, 45, 45, 120, 40, 90, 40),
}
"""Generous: a phase ends as soon as everybody has acted. In blocks of a second."""

DESCRIPTIONS = {
    "global": "A general assistant: everyday questions, explanations, writing, simple reasoning, in English.",
    "law": "Legal text: software licences, copyright, warranty, liability, permissions and obligations, contract "
    "clauses, what a licence such as MIT, Apache or GPL allows and forbids.",
    "computing": "Computing and programming: the Python language, syntax, functions, classes, exceptions, data types, "
    "operators, software, code and how it works.",
}
"""What the recommender compares a question with."""


@dataclass(frozen=True)
class Recipe:
    """How a model of the demo learns. ``kept``: a student's layers, by the parent's numbers; it trains from
    ``trains_from`` (its own numbers) on.
    """

    form: str
    lora: Lora | None
    kept: tuple[int, ...]
    compression: Compression
    outer: Outer
    inner: Inner
    evaluation: Evaluation
    kinds: tuple[str, ...]
    trains_from: int = 0


@dataclass(frozen=True)
class FieldText:
    """The user's own field in place of law: its name, and what it is about (for the recommender)."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class ModelPlan:
    """A model to register; its genesis is on IPFS under ``digest``. ``parent`` is a name (None for the root)."""

    name: str
    level: Level
    field: str
    parent: str | None
    digest: bytes
    genesis: Genesis
    policy: Policy
    rounds: int


_LEAST_MISSED = (0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 19, 20, 21, 22, 23, 24, 27, 28, 29)
"""19 of SmolLM2's 30 layers: what is left when the layer that is missed least goes, one by one (docs/log.md)."""

_ATTENTION_AND_MLP = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

RECIPES: dict[str, dict[str, Recipe]] = {
    "default": {
        "global": Recipe(
            form="full",
            lora=None,
            kept=(),
            compression=SPARSE,
            outer=SPARSE_OUTER,
            inner=Inner(8, 2, 256, "0.00005", 1, "0.01", state="kept"),
            evaluation=Evaluation(16, 256),
            kinds=("TRAIN", "UPSTREAM"),
        ),
        "law": Recipe(
            form="lora",
            lora=Lora(8, 16, _ATTENTION_AND_MLP, (8, 29)),
            kept=(),
            compression=Compression("int8", 4096, 4096),
            outer=Outer(81920, 0),
            inner=Inner(16, 3, 96, "0.0015", 1, "0"),
            evaluation=Evaluation(20, 96),
            kinds=("TRAIN",),
        ),
        "computing": Recipe(
            form="full",
            lora=None,
            kept=_LEAST_MISSED,
            compression=Compression("topk2", 256, 4096),
            outer=Outer(65536, 0),
            inner=Inner(8, 1, 256, "0.0005", 1, "0.01"),
            evaluation=Evaluation(16, 96),
            kinds=("DISTIL", "TRAIN"),
            trains_from=9,
        ),
    },
    "nano": {
        "global": Recipe(
            form="full",
            lora=None,
            kept=(),
            compression=Compression("int8", 4096, 4096),
            outer=Outer(65536, 0),
            inner=Inner(10, 4, 128, "0.003", 1, "0.01"),
            evaluation=Evaluation(12, 128),
            kinds=("TRAIN", "UPSTREAM"),
        ),
        "law": Recipe(
            form="lora",
            lora=Lora(64, 128, _ATTENTION_AND_MLP, (0, 3)),
            kept=(),
            compression=Compression("int8", 4096, 4096),
            outer=Outer(65536, 0),
            inner=Inner(12, 4, 128, "0.01", 1, "0"),
            evaluation=Evaluation(12, 128),
            kinds=("TRAIN",),
        ),
        "computing": Recipe(
            form="full",
            lora=None,
            kept=(0, 3),
            compression=Compression("int8", 4096, 4096),
            outer=Outer(65536, 0),
            inner=Inner(12, 4, 128, "0.003", 1, "0.01"),
            evaluation=Evaluation(12, 128),
            kinds=("DISTIL", "TRAIN"),
        ),
    },
}
"""Found by measurement: see ``devnet/bench/sizing.py`` and ``docs/log.md``."""

NANO_SEED = 20231
LORA_SEED = 2401


@dataclass(frozen=True)
class _Root:
    """The global model before it is a manifest."""

    config: dict[str, Any]
    weights: Mapping[str, torch.Tensor]
    weights_file: Path
    tokenizer: str
    chat_template: str
    licence: str


def build_models(
    preset: str,
    store: Store,
    cache_dir: Path,
    field: FieldText | None = None,
    progress: Progress = lambda line: None,
    rounds: Mapping[str, int] | None = None,
) -> list[ModelPlan]:
    """Global, law (or the user's own field) and computing: weights and manifests made and put, parents first."""
    if preset not in RECIPES:
        raise ConfigError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    recipes = RECIPES[preset]
    progress("preparing the global model")
    root = _nano_root(cache_dir) if preset == "nano" else _smollm2_root(store, cache_dir, progress)
    weights = store.put_file(root.weights_file)
    whole = _genesis(
        "global", Level.GLOBAL, "general", recipes["global"], root, None, weights, root.weights, root.config
    )
    top = _plan(store, whole, None, preset, 0)
    wanted = {"law": 3, "computing": 2, **(rounds or {})}
    progress("preparing the field models")
    law = _lora_genesis(store, cache_dir, recipes["law"], root, top)
    if field is not None:
        text = field.description or f"Questions about {field.name}: text that its owner brought to the network."
        law = replace(law, name=field.name, field=field.name, description=text, licence="its owner's")
    student = _student_genesis(store, cache_dir, recipes["computing"], root, top)
    return [
        top,
        _plan(store, law, top.name, preset, wanted["law"]),
        _plan(store, student, top.name, preset, wanted["computing"]),
    ]


def _plan(store: Store, genesis: Genesis, parent: str | None, preset: str, rounds: int) -> ModelPlan:
    digest = store.put(genesis.to_bytes())
    level = Level(genesis.level)
    return ModelPlan(genesis.name, level, genesis.field, parent, digest, genesis, POLICIES[preset], rounds)


def _genesis(
    name: str,
    level: Level,
    field: str,
    recipe: Recipe,
    root: _Root,
    parent: ModelPlan | None,
    weights: bytes,
    trained: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
) -> Genesis:
    from node.models.architecture import config_text

    names = sorted(trained)
    return Genesis(
        name=name,
        level=int(level),
        field=field,
        language="en",
        description=DESCRIPTIONS[name],
        licence=root.licence,
        parent=parent.digest.hex() if parent else None,
        config=config_text(config),
        tokenizer=root.tokenizer,
        chat_template=root.chat_template,
        form=recipe.form,
        base=parent.digest.hex() if parent and recipe.form == "lora" else None,
        lora=recipe.lora,
        weights=weights.hex(),
        tensors=tuple((name, tuple(trained[name].shape)) for name in names),
        weights_sha256=vector_sha256(trained),
        kinds=recipe.kinds,
        compression=recipe.compression,
        outer=recipe.outer,
        inner=recipe.inner,
        evaluation=recipe.evaluation,
        snapshot_every=8,
    )


def vector_sha256(trained: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the trained values as little-endian float32, in canonical order."""
    digest = hashlib.sha256()
    for name in sorted(trained):
        digest.update(trained[name].detach().float().contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _smollm2_root(store: Store, cache_dir: Path, progress: Progress) -> _Root:
    from safetensors.torch import load_file

    from node.models.convert import convert_smollm2

    found = convert_smollm2(cache_dir, progress)
    tokenizer = store.put_file(found.tokenizer).hex()
    return _Root(found.config, load_file(found.weights), found.weights, tokenizer, found.chat_template, "Apache-2.0")


def _nano_root(cache_dir: Path) -> _Root:
    from node.models.architecture import named_weights
    from node.models.nano import nano_config, nano_model
    from node.models.tokenizer import BYTES

    weights = {name: values.detach() for name, values in named_weights(nano_model(NANO_SEED)).items()}
    return _Root(nano_config(), weights, _saved(cache_dir, "nano", weights), BYTES, "", "CC0-1.0")


def _lora_genesis(store: Store, cache_dir: Path, recipe: Recipe, root: _Root, parent: ModelPlan) -> Genesis:
    from node.models.architecture import empty_model
    from node.models.lora import B_SUFFIX, initial

    assert recipe.lora is not None, "the law model is an adapter"
    values = initial(empty_model(root.config), recipe.lora, LORA_SEED)
    trained = {name: tensor for name, tensor in values.items() if name.endswith(B_SUFFIX)}
    weights = store.put_file(_saved(cache_dir, "lora", values))
    return _genesis("law", Level.FIELD, "law", recipe, root, parent, weights, trained, root.config)


def _student_genesis(store: Store, cache_dir: Path, recipe: Recipe, root: _Root, parent: ModelPlan) -> Genesis:
    """The student trains its last layers; embeddings stay the parent's, as both share a vocabulary."""
    from node.models.student import layer_of, student_config, student_weights

    values = student_weights(root.weights, recipe.kept)
    trained = {name: tensor for name, tensor in values.items() if layer_of(name) >= recipe.trains_from}
    weights = store.put_file(_saved(cache_dir, "student", values))
    config = student_config(root.config, recipe.kept)
    return _genesis("computing", Level.FIELD, "computing", recipe, root, parent, weights, trained, config)


def _saved(cache_dir: Path, name: str, tensors: Mapping[str, torch.Tensor]) -> Path:
    """A safetensors file of these values, named by what is in it, written once."""
    from safetensors.torch import save

    data = save({key: tensors[key].detach().contiguous() for key in sorted(tensors)})
    path = cache_dir / "genesis" / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(path)
    return path
