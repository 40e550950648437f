"""A personal adapter on a field model, made from the user's own text. It never leaves the machine.

The adapter is a second LoRA beside the field's own. It lies in ``user/MODEL/`` of the Strata home, readable by its
owner alone. Nothing here writes to a network: the store that comes in is asked to read only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from client.cleaning import clean_text, has_words, read_documents, scrub
from client.errors import ConfigError, EmptyText, ManifestError
from client.manifests import Lora
from client.settings import write_atomically
from node.models.architecture import layer_count
from node.models.load import LoadedModel
from node.models.lora import attach, initial, linear_layers
from node.training.batches import Windows, pack
from node.training.inner import InnerSettings, Step, run_inner
from node.validation.evaluation import Bench, Estimate, fall

ADAPTER, ABOUT = "adapter.safetensors", "adapter.json"
SCHEMA = "strata/personal/1"
MAX_TEXT_CHARACTERS = 4_000_000
LEAST_WINDOWS = 5


@dataclass(frozen=True)
class PersonalSettings:
    """How an adapter is made. ``steps``: at most; ``sequence`` in tokens, ``batch`` in windows; ``layers``: last."""

    rank: int = 8
    layers: int = 12
    steps: int = 40
    batch: int = 2
    sequence: int = 128
    lr: float = 0.002
    seed: int = 1


@dataclass(frozen=True)
class About:
    """What an adapter belongs to, and what it did: losses on the user's own held-out text, nats a token."""

    model: str
    genesis: str
    head: str
    lora: dict[str, Any]
    tokens: int
    before: str
    after: str
    error: str


@dataclass(frozen=True)
class Adapted:
    """A finished adaptation. Losses in nats a token on the held-out part, which was not trained on."""

    folder: Path
    before: float
    after: float
    fall: Estimate
    tokens: int
    kept: bool


def read_text(path: Path) -> list[str]:
    """The user's documents, cleaned; mail addresses and the like masked. At most four million characters are read."""
    found: list[str] = []
    size = 0
    for document in read_documents(path):
        text = scrub(clean_text(document))[0]
        if has_words(text):
            found.append(text)
            size += len(text)
        if size >= MAX_TEXT_CHARACTERS:
            break
    if not found:
        raise EmptyText(f"{path} holds no text to learn from")
    return found


def split_own(model: LoadedModel, documents: list[str], sequence: int) -> tuple[Windows, Windows]:
    """Windows to learn from, and the last fifth of the text to measure by."""
    windows = pack(model.tokenizer, documents, sequence)
    if len(windows) < LEAST_WINDOWS:
        raise EmptyText(
            f"this text is too short to learn from: it has {sum(map(len, windows))} tokens, "
            f"{LEAST_WINDOWS * sequence} are needed to train on most of it and measure by the rest"
        )
    held = max(2, len(windows) // 5)
    return Windows.of(windows[:-held]), Windows.of(windows[-held:][:24])


def with_adapter(model: LoadedModel, lora: Lora, values: dict[str, torch.Tensor]) -> LoadedModel:
    """The model with a personal adapter: everything else is frozen. The module is changed in place."""
    names = attach(model.module, lora)
    own = dict(model.module.named_parameters())
    with torch.no_grad():
        for name, tensor in values.items():
            if name not in own or own[name].shape != tensor.shape:
                raise ManifestError(f"the personal adapter does not fit this model at {name}; make it again")
            own[name].copy_(tensor)
    for name in names:
        own[name].requires_grad_(True)
    return replace(model, trained=tuple((name, own[name]) for name in names))


def adapt(
    model: LoadedModel,
    name: str,
    head: str,
    documents: list[str],
    home: Path,
    settings: PersonalSettings | None = None,
    progress: Callable[[Step], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Adapted:
    """Train an adapter on the user's text and keep it, if the held-out part agrees that it is better.

    ``model`` must be at its head; it gets the adapter. An earlier adapter is replaced by a better one only.
    """
    settings = settings or PersonalSettings()
    train, held = split_own(model, documents, settings.sequence)
    last = layer_count(model.module) - 1
    first = max(0, last + 1 - settings.layers)
    lora = Lora(settings.rank, 2 * settings.rank, linear_layers(model.module), (first, last))
    values = initial(model.module, lora, settings.seed)
    personal = with_adapter(model, lora, values)
    bench = Bench(personal, held)
    before = bench.measure()
    steps = min(settings.steps, max(8, 3 * len(train) // settings.batch))
    inner = InnerSettings(steps, settings.batch, settings.lr, warmup=2)
    result = run_inner(personal, train, inner, progress=progress, should_stop=should_stop)
    personal.set_vector(personal.get_vector() + result.delta)
    after = bench.measure()
    gained = fall(before, after)
    folder = home / "user" / name
    better = gained.mean > 0.0
    if better:
        about = About(
            name, model.digest.hex(), head, lora.to_json(), result.tokens,
            f"{before.loss:.6f}", f"{after.loss:.6f}", f"{gained.error:.6f}",
        )  # fmt: skip
        _keep(folder, personal, about)
    return Adapted(folder, before.loss, after.loss, gained, result.tokens, better)


def open_personal(model: LoadedModel, name: str, home: Path) -> tuple[LoadedModel, About]:
    """The model with the adapter that is kept for it; raises ``ConfigError`` where there is none."""
    folder = home / "user" / name
    if not (folder / ABOUT).exists():
        raise ConfigError(f"you have no personal adapter on {name} yet: run `strata user adapt FILE --model {name}`")
    try:
        fields = json.loads((folder / ABOUT).read_text())
        if fields.pop("schema", None) != SCHEMA:
            raise ManifestError(f"{folder / ABOUT} is not of this version; make the adapter again")
        about = About(**fields)
        lora = Lora.from_json(about.lora)
        values = load((folder / ADAPTER).read_bytes())
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ManifestError(f"the personal adapter in {folder} can't be read ({error}); make it again") from error
    if about.genesis != model.digest.hex():
        raise ManifestError(f"the personal adapter in {folder} belongs to another model called {name}; make it again")
    return with_adapter(model, lora, values), about


def _keep(folder: Path, model: LoadedModel, about: About) -> None:
    """Write both files, the description last; both and their folder are the owner's alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    own = dict(model.module.named_parameters())
    names = [part for name, _ in model.trained for part in (name, name.removesuffix("lora_B") + "lora_A")]
    data = save({name: own[name].detach().contiguous() for name in sorted(names)})
    write_atomically(folder / ADAPTER, data, 0o600)
    described = json.dumps({"schema": SCHEMA, **asdict(about)}, indent=1, sort_keys=True)
    write_atomically(folder / ABOUT, described.encode(), 0o600)
