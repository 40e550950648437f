"""A deployment's parameters, plan and state; no chain needed."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from client.chain_fees import default_confirmations, is_local
from client.deploy_plan import ORDER, created_address, creation, facts, handover, place, same_code, wiring, wrong_parts
from client.deploy_settings import BOUNDS, PEOPLE, WEI, DeploySettings, amount, read_settings, refuse_known
from client.deploy_state import Created, DeployState, StateFile
from client.errors import ConfigError
from client.known_keys import DEVELOPMENT, whose
from contracts.artifact import CONTRACTS, LIBRARIES, link, load_artifact

DEPLOYER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
OTHERS = {office: "0x" + f"{index:02d}" * 20 for index, office in enumerate(PEOPLE, 11)}
PUBLIC = 8453
LOCAL = DeploySettings.local().complete(DEPLOYER, 31337)


# ---- parameters


def test_settings_when_the_chain_is_public_then_every_office_must_be_named() -> None:
    with pytest.raises(ConfigError, match="--treasury, --guardian"):
        DeploySettings(council=OTHERS["council"]).complete("0x" + "99" * 20, PUBLIC)
    whole = DeploySettings(**OTHERS).complete("0x" + "99" * 20, PUBLIC)  # type: ignore[arg-type]
    assert whole.council == OTHERS["council"]
    assert (whole.unbonding_blocks, whole.governance_delay_seconds) == (50_400, 172_800)


def test_settings_when_the_chain_is_one_s_own_then_the_deployer_holds_the_offices() -> None:
    assert (LOCAL.treasury, LOCAL.council, LOCAL.guardian) == (DEPLOYER,) * 3


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_setting_when_out_of_bounds_then_refused_with_its_bounds(name: str) -> None:
    low, high = BOUNDS[name]
    for value in (low, high):
        replace(DeploySettings(**OTHERS), **{name: value}).complete("0x" + "99" * 20, PUBLIC)  # type: ignore[arg-type]
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=f"{name} must be from"):
            replace(DeploySettings(**OTHERS), **{name: value}).complete("0x" + "99" * 20, PUBLIC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", ["0x12", "0x" + "00" * 20, "council", "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266", DEPLOYER]
)
def test_office_when_no_address_or_everybody_s_then_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="council"):
        DeploySettings(**{**OTHERS, "council": wrong}).complete("0x" + "99" * 20, PUBLIC)  # type: ignore[arg-type]


def test_known_keys_when_their_phrases_are_followed_then_these_are_the_addresses() -> None:
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    for phrase, addresses in DEVELOPMENT.items():
        for index in (0, 1, len(addresses) - 1):
            made = Account.from_mnemonic(phrase, account_path=f"m/44'/60'/0'/0/{index}").address
            assert addresses[index] == made
    assert len(DEVELOPMENT) == 3
    assert all(len(addresses) >= 10 for addresses in DEVELOPMENT.values())


def test_known_key_when_the_chain_is_not_the_development_chain_then_refused() -> None:
    refuse_known(DEPLOYER.lower(), "The deployer", 31337)
    small = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"  # of the private key 1
    for address in (DEPLOYER, DEPLOYER.lower(), small, *(rows[0] for rows in DEVELOPMENT.values())):
        assert whose(address)
        for chain in (1, 1337, 31338, 31_337_500, PUBLIC):
            with pytest.raises(ConfigError, match="everybody knows"):
                refuse_known(address, "The deployer", chain)
    refuse_known("0x" + "99" * 20, "The deployer", 1)


def test_toml_when_read_then_amounts_are_tokens_and_unknown_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text('[deploy]\nname = "mine"\nchain_id = 10\nmin_miner_stake = 2.5\nunbonding_blocks = 900\n')
    assert read_settings(path) == ({"name": "mine", "min_miner_stake": 25 * 10**17, "unbonding_blocks": 900}, 10)
    for line, words in {
        "unbonding = 3": "unknown setting unbonding",
        'unbonding_blocks = "3"': "whole number",
        "name = 3": "must be text",
        'chain_id = "x"': "whole number",
        "min_miner_stake = 0.0000000000000000001": "18 decimals",
        "x": "can't be read",
    }.items():
        path.write_text(f"[deploy]\n{line}\n")
        with pytest.raises(ConfigError, match=words):
            read_settings(path)


def test_amounts_when_written_then_zero_is_one() -> None:
    assert [amount("deposit", text) for text in ("0", "1,000", "0.5")] == [0, 1000 * 10**18, 5 * 10**17]


@pytest.mark.parametrize(
    ("chain", "local", "blocks"), [(31337, True, 0), (31_337_123, True, 0), (8453, False, 1), (1, False, 2)]
)
def test_chain_when_its_number_is_known_then_so_is_how_deep_a_block_must_lie(
    chain: int, local: bool, blocks: int
) -> None:
    assert (is_local(chain), default_confirmations(chain)) == (local, blocks)


# ---- the plan


def _digest(name: str, addresses: Any) -> str:
    return creation(name, LOCAL, DEPLOYER, addresses).digest


def test_plan_when_nothing_is_there_then_every_contract_follows_from_the_nonce() -> None:
    addresses, missing = place({}, {}, _digest, DEPLOYER, 7)
    assert tuple(missing) == ORDER == (*LIBRARIES, *CONTRACTS)
    assert addresses == {name: created_address(DEPLOYER, 7 + index) for index, name in enumerate(ORDER)}


def test_plan_when_some_are_there_then_only_the_rest_is_made() -> None:
    addresses, _ = place({}, {}, _digest, DEPLOYER, 0)
    digests = {name: _digest(name, addresses) for name in ORDER}
    kept = {name: addresses[name] for name in ORDER[:5]}
    again, missing = place(kept, digests, _digest, DEPLOYER, 5)
    assert (again, tuple(missing)) == (addresses, ORDER[5:])


def test_plan_when_a_contract_must_move_then_those_that_name_it_are_made_again_and_no_others() -> None:
    addresses, _ = place({}, {}, _digest, DEPLOYER, 0)
    digests = {name: _digest(name, addresses) for name in ORDER}
    kept = {name: address for name, address in addresses.items() if name != "Staking"}
    again, missing = place(kept, digests, _digest, DEPLOYER, 50)
    assert set(missing) == {"Staking", "DataRegistry", "Rewards", "InferenceChannels", "Rounds"}
    assert again["StrataToken"] == addresses["StrataToken"]
    assert again["Staking"] == created_address(DEPLOYER, 50)


def test_plan_when_made_then_no_call_comes_before_what_it_calls() -> None:
    addresses, _ = place({}, {}, _digest, DEPLOYER, 0)
    for step in (*wiring(LOCAL, DEPLOYER, addresses), *handover(DEPLOYER, addresses)):
        assert step.to == addresses[step.contract]
    for fact in facts(LOCAL, DEPLOYER, addresses):
        assert fact.contract in ORDER


@pytest.mark.parametrize("name", ORDER)
def test_code_when_compared_with_its_artifact_then_only_empty_places_may_differ(name: str) -> None:
    addresses = dict.fromkeys(LIBRARIES, "0x" + "22" * 20)
    made = bytes.fromhex(link(load_artifact(name), addresses)[2:])
    code = bytearray(made[-1000:])
    assert same_code(bytes(code), made)
    changed = next(at for at, byte in enumerate(code) if byte not in (0, 0x7F, 0x73) and at > 500)
    code[changed] ^= 1
    assert not same_code(bytes(code), made)
    assert not same_code(b"", made)
    assert not same_code(bytes(100_000), made)


def test_parts_when_a_contract_was_made_with_another_then_that_one_is_named() -> None:
    ours, other, block = 0x11223344, 0x55667788, 7
    hole = b"\x7f" + bytes(32)
    made = b"constructor" + b"\x60" + hole + b"\x61" + hole + b"\x62"
    code = b"\x60\x7f" + ours.to_bytes(32, "big") + b"\x61\x7f" + block.to_bytes(32, "big") + b"\x62"
    assert same_code(code, made)
    simulated = code.replace(block.to_bytes(32, "big"), (9).to_bytes(32, "big"))
    assert wrong_parts(code, simulated, made, {ours, other}) == []
    foreign = code.replace(ours.to_bytes(32, "big"), other.to_bytes(32, "big"))
    assert wrong_parts(foreign, simulated, made, {ours}) == [ours]


# ---- the state


def _state() -> DeployState:
    row = Created("0x" + "33" * 20, 4, "ab")
    return DeployState(31337, "0x12", DEPLOYER, LOCAL, 9, {"Staking": row}, {"deploy Staking": "0x44"})


def test_state_when_kept_and_loaded_then_it_is_the_same(tmp_path: Path) -> None:
    file = StateFile.beside(tmp_path / "network.json")
    assert file.path == tmp_path / "network.deployment.json"
    assert file.load() is None
    file.save(_state())
    assert file.load() == _state()
    assert file.leave_behind() == tmp_path / "network.deployment.json.old-1"
    file.save(_state())
    assert file.leave_behind() == tmp_path / "network.deployment.json.old-2"
    assert file.leave_behind() is None


def test_state_when_spoilt_or_in_use_then_the_error_says_what_to_do(tmp_path: Path) -> None:
    file = StateFile.beside(tmp_path / "network.json")
    assert file.path is not None
    file.path.write_text("{}")
    with pytest.raises(ConfigError, match="--start-over"):
        file.load()
    other = StateFile(file.path)
    with file.lock(), pytest.raises(ConfigError, match="Another process"), other.lock():
        pass


def test_state_when_something_else_is_asked_for_then_each_difference_is_named() -> None:
    begun = _state()
    begun.refuse_other(begun, "x")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"settings": replace(LOCAL, vesting_blocks=6)}, "vesting_blocks 5 .now 6"),
        ({"chain_id": 1}, "chain 31337 .now 1"),
        ({"chain": "0x13"}, "which is gone"),
        ({"deployer": "0x" + "99" * 20}, "deployer 0xf39"),
    ]
    for change, words in changes:
        with pytest.raises(ConfigError, match=words):
            begun.refuse_other(begun.with_(**change), "x")


def test_settings_when_plain_then_amounts_are_text_and_come_back() -> None:
    plain = LOCAL.to_json()
    assert all(isinstance(plain[key], str) for key in WEI)
    assert DeploySettings.from_json(plain) == LOCAL
    assert set(plain) == {field.name for field in fields(DeploySettings)}
