"""The smallest model with everything a large one has: a Llama of half a million values that reads bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from node.models.architecture import empty_model, named_weights
from node.models.tokenizer import BYTE_END, BYTE_VOCABULARY


@dataclass(frozen=True)
class NanoShape:
    """Sizes of a nano model, all counts."""

    layers: int = 4
    width: int = 96
    inner: int = 256
    heads: int = 4
    context: int = 512


def nano_config(shape: NanoShape | None = None) -> dict[str, Any]:
    """Its Hugging Face config."""
    shape = shape or NanoShape()
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": BYTE_VOCABULARY,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads // 2,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": BYTE_END,
        "eos_token_id": BYTE_END,
        "pad_token_id": BYTE_END,
    }


def nano_model(seed: int, shape: NanoShape | None = None) -> nn.Module:
    """A nano model with values from ``seed`` alone: torch's global generator is neither read nor moved."""
    module = empty_model(nano_config(shape))
    generator = torch.Generator().manual_seed(seed)
    layers = (shape or NanoShape()).layers
    with torch.no_grad():
        for name, parameter in named_weights(module).items():
            if parameter.dim() == 1:
                parameter.fill_(1.0)
                continue
            deviation = 0.1 if "embed" in name else parameter.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                deviation /= (2 * layers) ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
    return module
