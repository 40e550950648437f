"""Empty modules from configs, the number format that this processor is quick with, a decoder split in two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from client.errors import ManifestError
from client.schema import load_json

_SPLITTABLE = ("llama",)
"""Model types whose decoder layers we run one by one, to keep the frozen part's result. Others run whole."""


def config_text(config: Mapping[str, Any]) -> str:
    """A Hugging Face config as the string that a genesis holds: sorted keys, no spaces."""
    return json.dumps(dict(config), sort_keys=True, separators=(",", ":"), allow_nan=False)


def config_of(text: str) -> dict[str, Any]:
    """The config in a genesis; raises ``ManifestError`` where it is not a JSON object with a model type."""
    try:
        config = load_json(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the config is not JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ManifestError("the config names no model_type")
    return config


@lru_cache(maxsize=1)
def compute_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it in hardware (four times as fast), float32 elsewhere.

    Either way sums, losses, trained values and what goes on chain are float32.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return torch.float32
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32


def empty_model(config: Mapping[str, Any]) -> nn.Module:
    """A causal LM of that config whose values are not yet set. Llama's classes are imported alone: quicker."""
    from transformers.initialization import no_init_weights

    settings = {key: value for key, value in config.items() if key not in ("architectures", "auto_map")}
    try:
        with no_init_weights():
            if config["model_type"] == "llama":
                from transformers.models.llama.configuration_llama import LlamaConfig
                from transformers.models.llama.modeling_llama import LlamaForCausalLM

                module: nn.Module = LlamaForCausalLM(LlamaConfig(**settings))
            else:
                from transformers import AutoConfig, AutoModelForCausalLM

                module = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), trust_remote_code=False)
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"no model can be made of this config: {error}") from error
    model: Any = module
    model.tie_weights()
    return module.eval()


def named_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once (tied ones under their first name), sorted by name."""
    return dict(sorted(module.named_parameters(remove_duplicate=True)))


def can_split(module: nn.Module) -> bool:
    """Whether :func:`run_layers` knows this architecture."""
    config: Any = module.config
    return str(config.model_type) in _SPLITTABLE


def layer_count(module: nn.Module) -> int:
    """How many decoder layers."""
    config: Any = module.config
    return int(config.num_hidden_layers)


def embed(module: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Token numbers to the first hidden states, in float32 so that sums along the layers stay exact enough."""
    model: Any = module
    found: torch.Tensor = model.get_input_embeddings()(tokens)
    return found.float()


def run_layers(module: nn.Module, hidden: torch.Tensor, first: int, end: int) -> torch.Tensor:
    """Decoder layers ``first`` to ``end`` (not included) on hidden states of whole windows (no padding, no cache)."""
    model: Any = module
    positions = torch.arange(hidden.shape[1])[None]
    rotary = model.model.rotary_emb(hidden, position_ids=positions)
    for layer in model.model.layers[first:end]:
        out = layer(hidden, attention_mask=None, position_ids=positions, position_embeddings=rotary)
        hidden = out[0] if isinstance(out, tuple) else out
    return hidden


def final_norm(module: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """The norm between the last layer and the vocabulary, of an architecture that can be split."""
    model: Any = module
    found: torch.Tensor = model.model.norm(hidden)
    return found


def last_hidden(module: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Hidden states after the last norm, just before the vocabulary, of any architecture."""
    model: Any = module
    if can_split(module):
        return final_norm(module, run_layers(module, embed(module, tokens), 0, layer_count(module)))
    out = model.base_model(input_ids=tokens, use_cache=False)
    hidden: torch.Tensor = out.last_hidden_state
    return hidden


def vocabulary_weight(module: nn.Module) -> torch.Tensor:
    """The matrix from hidden states to logits."""
    model: Any = module
    weight: torch.Tensor = model.get_output_embeddings().weight
    return weight
