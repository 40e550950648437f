"""``strata data``: submit text, list datasets, look into one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import (
    CsvOption,
    JsonOption,
    PassphraseOption,
    WalletOption,
    chain,
    open_chain,
    settings,
    signing_chain,
)
from client.cli.groups import plain_group
from client.cli.output import Column, console, plain, say, short, show, show_json, show_sent, text, tokens, warn
from client.errors import ConfigError, StorageError, Unfunded

if TYPE_CHECKING:
    from client.chain import Chain
    from client.data import Prepared, SubmitResult
    from client.manifests import Dataset
    from client.settings import Settings
    from client.storage import IpfsStore
    from client.types import DatasetInfo

app = plain_group("Submit text to train on, list datasets, look into one, vote on one, take one or its deposit back.")

_STAGES = {
    "read": "Reading and cleaning",
    "cluster": "Finding near-duplicates",
    "shard": "Cutting into shards",
    "upload": "Uploading to IPFS",
    "register": "Registering on chain",
}


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="A .txt, .jsonl or .json file, or a folder of such.")],
    model: Annotated[str, typer.Option("--model", help="The model that is to learn from it (name or number).")],
    licence: Annotated[str, typer.Option("--licence", help="Under which licence, as an SPDX identifier.")],
    field: Annotated[str, typer.Option("--field", help="Its field; else the model's.")] = "",
    name: Annotated[str, typer.Option("--name", help="What to call it; else the file's name.")] = "",
    language: Annotated[str, typer.Option("--language", help="Its language, as in ISO 639.")] = "en",
    source: Annotated[str, typer.Option("--source", help="Where the text comes from.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before it is published.")] = False,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clean a text, mask personal data, drop duplicates, split, publish on IPFS, register on chain.

    What is published can be copied by anybody and not be taken back. Interrupted? Just run it again.

    Example: strata data submit laws.txt --model law --licence CC0-1.0 --wallet alice
    """
    from client.data import submit_text

    if not licence.strip():
        raise ConfigError("Say under which licence the text is, like --licence CC0-1.0")
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = open_chain(chosen)
    _check_funds(link)
    with _progress(quiet=as_json) as (advance, pause):
        result = submit_text(
            link,
            _store(chosen),
            file,
            model,
            licence.strip(),
            name=name,
            field=field,
            language=language,
            source=source,
            progress=advance,
            approve=None if yes or as_json or not sys.stdin.isatty() else lambda prepared: _ask(prepared, model, pause),
        )
    if as_json:
        show_json(_submitted(result))
        return
    manifest = result.manifest
    say(f"Dataset {result.dataset_id} is registered for {model}: {_amounts(manifest, result.characters)}.")
    say(f"Its manifest: {result.cid}")
    say(f"Validators vote on it; see `strata data show {result.dataset_id}`.")


@app.command("list")
def list_(
    model: Annotated[str | None, typer.Option("--model", help="Only of this model (name or number).")] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List the registered datasets.

    Example: strata data list --model law
    """
    link = chain(settings())
    names = {found.id: found.name for found in link.models()}
    wanted = None if model is None else link.model(model).id
    rows = [_facts(info, names) for info in link.datasets(wanted)]
    columns = [
        Column("id", "Id", justify="right"),
        Column("model", "Model"),
        Column("status", "Status"),
        Column("owner", "Owner", short),
        Column("licence", "Licence"),
        Column("bytes", "Size", _size, "right"),
        Column("shards", "Shards", justify="right"),
        Column("heldout", "Held out", justify="right"),
        Column("value_percent", "Value", lambda v: "" if v is None else f"{v:g} %", "right"),
        Column("cid", "Manifest", short),
    ]
    show(rows, columns, as_json=as_json, as_csv=as_csv, empty="No dataset yet. Submit one: strata data submit FILE")


@app.command("show")
def show_dataset(
    dataset: Annotated[int, typer.Argument(help="A dataset's number, see `strata data list`.", min=1)],
    shard: Annotated[int | None, typer.Option("--shard", min=0, help="Print the texts of this training shard.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a dataset: its manifest, its shards, what cleaning removed, where it stands.

    Example: strata data show 1
    """
    from client.data import load_dataset, load_shard

    chosen = settings()
    link, store = chain(chosen), _store(chosen)
    count = len(link.datasets())
    if dataset > count:
        raise ConfigError(f"There is no dataset {dataset}; there are {count}. See `strata data list`.")
    info = link.dataset(dataset)
    facts = _facts(info, {found.id: found.name for found in link.models()})
    try:
        manifest = load_dataset(store, info.root, chosen.storage.timeout_seconds)
    except StorageError as error:
        if shard is not None:
            raise
        warn(f"its manifest can't be had now: {error}")
        manifest = None
    if shard is not None:
        if manifest is None or shard >= len(manifest.shards):
            raise ConfigError(f"Dataset {dataset} has {info.shards} training shards; the first is --shard 0.")
        documents = load_shard(store, manifest.shards[shard], chosen.storage.timeout_seconds)
        show_json(list(documents)) if as_json else say("\n\n---\n\n".join(documents))
    elif as_json:
        show_json({**facts, "manifest": None if manifest is None else manifest.to_json()})
    else:
        _show_one(facts, manifest)


@app.command()
def withdraw(
    dataset: Annotated[int, typer.Argument(help="A dataset's number, see `strata data list`.", min=1)],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take your dataset out of the rounds to come. What was published stays public; what was earned stays yours.

    Example: strata data withdraw 1 --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    receipt = link.withdraw_dataset(dataset)
    show_sent(receipt, f"Dataset {dataset} is withdrawn from block {receipt.block} on", as_json, id=dataset)


@app.command()
def vote(
    dataset: Annotated[int, typer.Argument(help="A dataset's number, see `strata data list`.", min=1)],
    accept: Annotated[bool, typer.Option("--accept/--reject", help="Whether rounds may use it.")] = True,
    value: Annotated[float, typer.Option("--value", min=0, max=100, help="What it is worth, in percent.")] = 100.0,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Vote on a dataset, as a validator of its model; the accepting votes' median is what it counts in payments.

    Example: strata data vote 1 --accept --value 80 --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    receipt = link.vote_dataset(dataset, accept, round(value * 100))
    status = link.dataset(dataset).status.name.lower()
    words = f"Voted to {f'accept it at {value:g} %' if accept else 'reject it'}; dataset {dataset} is {status} now"
    show_sent(receipt, words, as_json, id=dataset, accept=accept, status=status)


@app.command()
def reclaim(
    dataset: Annotated[int, typer.Argument(help="A dataset's number, see `strata data list`.", min=1)],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the deposit of your dataset, once it was accepted (or withdrawn before a decision).

    Example: strata data reclaim 1 --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    receipt = link.reclaim_deposit(dataset)
    amount = int(receipt.event("DepositReturned").args["amount"])
    words = f"{tokens(amount, 18)} tokens of dataset {dataset} are yours again"
    show_sent(receipt, words, as_json, id=dataset, returned_wei=amount)


def _show_one(facts: dict[str, Any], manifest: Dataset | None) -> None:
    rows = [{"key": key.replace("_", " "), "value": value} for key, value in plain(facts).items() if value is not None]
    if manifest is not None:
        removed = manifest.removed
        rows += [
            {"key": key, "value": value}
            for key, value in {
                "name": manifest.name,
                "field": manifest.field,
                "language": manifest.language,
                "source": manifest.source,
                "near-duplicate clusters": manifest.clusters,
                "duplicates removed": removed.duplicates,
                "empty removed": removed.empty,
                "personal data masked": removed.pii,
            }.items()
        ]
    show(rows, [Column("key", "Dataset"), Column("value", "", text)])
    if manifest is not None:
        shards = [("train", number, shard) for number, shard in enumerate(manifest.shards)]
        shards += [("held out", number, shard) for number, shard in enumerate(manifest.heldout)]
        listed = [{"side": side, "number": number, **shard.to_json()} for side, number, shard in shards]
        names = ["side", "number", "documents", "characters", "bytes"]
        show(listed, [*(Column(name, name.capitalize()) for name in names), Column("digest", "Digest", short)])


def _check_funds(link: Chain) -> None:
    """Before anything is published that could not be registered."""
    if not link.balance(link.address):
        raise Unfunded(
            f"{link.address} has no coins to pay for the registration. Nothing was submitted. Send it some: "
            f"`strata wallet send {link.address} AMOUNT --coins` from a funded wallet."
        )
    deposit, held = link.dataset_deposit(), link.token_balance(link.address)
    if held < deposit:
        raise Unfunded(
            f"A dataset needs a deposit of {tokens(deposit, 18)} tokens, and {link.address} holds {tokens(held)}. "
            "Nothing was submitted. The deposit comes back when validators accept the dataset; fund the wallet first."
        )


def _store(chosen: Settings) -> IpfsStore:
    from client.storage import IpfsStore

    network = chosen.network()
    if not network.ipfs:
        raise ConfigError(
            f"The network {network.name} names no IPFS daemon. "
            "Set STRATA_STORAGE_IPFS, like /ip4/127.0.0.1/tcp/5001/http."
        )
    return IpfsStore(network.ipfs, chosen.cache_folder(), chosen.cache_bytes())


def _facts(info: DatasetInfo, names: dict[int, str]) -> dict[str, Any]:
    from client.cid import cid_of

    return {
        "id": info.id,
        "model": names.get(info.model_id, str(info.model_id)),
        "status": info.status.name.lower(),
        "owner": info.owner,
        "licence": info.licence,
        "bytes": info.size,
        "shards": info.shards,
        "heldout": info.heldout,
        "cid": cid_of(info.root),
        "root": info.root,
        "value_percent": info.value / 100 if info.accepted_block else None,
        "deposit_wei": info.deposit,
        "accepted_block": info.accepted_block or None,
        "withdrawn_block": info.withdrawn_block or None,
    }


def _submitted(result: SubmitResult) -> dict[str, Any]:
    facts = _facts(result.info, {})
    return {**facts, "model": result.model_id, "characters": result.characters, "manifest": result.manifest.to_json()}


def _ask(prepared: Prepared, model: str, pause: Callable[[], None]) -> None:
    pause()
    removed = prepared.manifest.removed
    say(f"Ready for {model}: {_amounts(prepared.manifest, prepared.characters)}.")
    say(
        f"Removed: {removed.duplicates} duplicates, {removed.empty} empty; masked: {removed.pii} addresses and numbers."
    )
    typer.confirm(f"Publish it on IPFS under {prepared.manifest.licence}?", abort=True)


def _amounts(manifest: Dataset, characters: int) -> str:
    return (
        f"{characters:,} characters, {len(manifest.shards)} shards to train on, {len(manifest.heldout)} held out, "
        f"{manifest.clusters} clusters"
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


@contextmanager
def _progress(quiet: bool) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[], None]]]:
    """A bar for each stage (on stderr), and how to stop drawing while somebody is asked."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bars = Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=quiet,
    )
    tasks: dict[str, TaskID] = {}

    def pause() -> None:
        if tasks:
            bars.stop()

    def advance(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            bars.start()
            tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield advance, pause
    finally:
        pause()
