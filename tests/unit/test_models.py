"""Loading, vectors, adapters, students, tokenizers: on nano models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from client.errors import ConfigError, DeltaError, ManifestError, StorageError
from client.manifests import Lora
from client.replay import genesis_state
from devnet.models import FieldText, build_models
from node.models.load import load_genesis
from node.models.lora import attach, initial
from node.models.nano import nano_model
from node.models.run import frozen_prefix, logits_of
from node.models.student import layer_of, student_config, student_weights
from node.models.tokenizer import ByteTokenizer, render_chat
from tests.unit.nano_world import nano, nano_world


def test_build_models_when_made_twice_then_digests_are_the_same() -> None:
    store, cache, plans = nano_world()
    again = {plan.name: plan.digest for plan in build_models("nano", store, cache)}
    assert again == {name: plan.digest for name, plan in plans.items()}


def test_build_models_when_the_preset_is_unknown_then_says_which_there_are() -> None:
    store, cache, _ = nano_world()
    with pytest.raises(ConfigError, match="default, nano"):
        build_models("huge", store, cache)


def test_build_models_when_the_user_brings_a_field_then_it_replaces_law() -> None:
    store, cache, _ = nano_world()
    names = [plan.name for plan in build_models("nano", store, cache, FieldText("gardening", "Plants and soil."))]
    assert names == ["global", "gardening", "computing"]


@pytest.mark.parametrize("name", ["global", "law", "computing"])
def test_load_genesis_when_loaded_then_vector_is_what_numpy_alone_reads(name: str) -> None:
    store, _, plans = nano_world()
    model = nano(name)
    assert model.n == plans[name].genesis.size < 1_000_000
    assert np.array_equal(model.get_vector(), genesis_state(store, plans[name].digest).theta)


def test_set_vector_when_read_back_then_equal_and_wrong_length_is_refused() -> None:
    model = nano("law")
    vector = np.linspace(-1, 1, model.n, dtype=np.float32)
    with model.at(vector):
        assert np.array_equal(model.get_vector(), vector)
    assert not model.get_vector().any()
    with pytest.raises(DeltaError):
        model.set_vector(vector[:-1])


def test_lora_when_b_is_zero_then_model_answers_as_its_base() -> None:
    tokens = torch.randint(0, 256, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        base, law = logits_of(nano("global", trainable=False), tokens), logits_of(nano("law"), tokens)
    assert torch.equal(base, law)


def test_lora_when_only_last_layers_are_adapted_then_prefix_gives_the_same_result() -> None:
    model = nano("global", trainable=False)
    lora = Lora(4, 8, ("q_proj", "down_proj"), (2, 3))
    values = initial(model.module, lora, 7)
    names = attach(model.module, lora)
    own = dict(model.module.named_parameters())
    with torch.no_grad():
        for name, tensor in values.items():
            own[name].copy_(tensor if "lora_A" in name else torch.full_like(tensor, 0.1))
    adapted = replace(model, trained=tuple((name, own[name]) for name in names))
    assert adapted.frozen_layers == 2
    tokens = torch.randint(0, 256, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        prefix = frozen_prefix(adapted, tokens)
        assert prefix is not None
        assert torch.allclose(logits_of(adapted, tokens, prefix), logits_of(adapted, tokens))


def test_lora_when_no_layer_has_the_name_then_manifest_error() -> None:
    with pytest.raises(ManifestError, match="no linear layer"):
        attach(nano_model(1), Lora(4, 8, ("query",), (0, 3)))


def test_student_when_layers_are_dropped_then_the_kept_values_are_the_parents() -> None:
    parent = {name: tensor.detach() for name, tensor in nano_model(1).named_parameters()}
    student = student_weights(parent, (0, 3))
    wanted = parent["model.layers.3.mlp.up_proj.weight"]
    assert torch.equal(student["model.layers.1.mlp.up_proj.weight"], wanted)
    assert not any(layer_of(name) > 1 for name in student)
    assert student_config({"num_hidden_layers": 4}, (0, 3)) == {"num_hidden_layers": 2}
    for kept in ((), (0, 4), (2, 1), (-1, 2), (1, 1)):
        with pytest.raises(ConfigError):
            student_config({"num_hidden_layers": 4}, kept)


def test_nano_model_when_seeded_then_same_values_and_global_generator_untouched() -> None:
    state = torch.get_rng_state()
    first, second, other = (dict(nano_model(seed).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert torch.equal(state, torch.get_rng_state())


def test_load_genesis_when_weights_are_missing_then_storage_error() -> None:
    store, cache, plans = nano_world()
    broken = replace(plans["global"].genesis, weights="ab" * 32)
    with pytest.raises(StorageError):
        load_genesis(store, store.put(broken.to_bytes()), cache, timeout=0.1)


def test_load_genesis_when_the_cached_file_is_damaged_then_it_is_fetched_again() -> None:
    store, cache, plans = nano_world()
    nano("global")
    path = cache / "weights" / f"{plans['global'].genesis.weights}.safetensors"
    path.unlink()
    path.write_bytes(b"\x00" * 100)
    assert load_genesis(store, plans["global"].digest, cache).n == plans["global"].genesis.size


def test_byte_tokenizer_when_text_goes_round_then_it_is_the_same() -> None:
    tokenizer = ByteTokenizer()
    text = "naïve 法律\n"
    assert tokenizer.decode([*tokenizer.encode(text), tokenizer.end]) == text
    assert tokenizer.decode(tokenizer.chat([{"role": "user", "content": "hi"}])) == "user: hi\nassistant: "


def test_render_chat_when_the_template_reaches_for_python_then_refused() -> None:
    with pytest.raises(ManifestError):
        render_chat("{{ messages.__class__.__mro__ }}", [{"role": "user", "content": "hi"}])
