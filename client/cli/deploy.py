"""``strata deploy``: puts a network of one's own on a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli.context import (
    JsonOption,
    PassphraseOption,
    WalletOption,
    has_terminal,
    open_account,
    own_address,
    resolve_address,
    settings,
)
from client.cli.groups import single
from client.cli.output import Column, console, say, show, show_json, tokens
from client.errors import ConfigError
from client.settings import Settings

app = single()
CHAIN = "Chain"
OFFICES = "Offices (required on a public chain)"
PARAMETERS = "Parameters (fixed for good, save for the delay of governance and the deposit)"


def _chain(help_: str, **bounds: Any) -> Any:
    return typer.Option(help=help_, rich_help_panel=CHAIN, **bounds)


def _office(help_: str) -> Any:
    return typer.Option(help=help_, rich_help_panel=OFFICES, metavar="ADDRESS")


def _number(help_: str) -> Any:
    return typer.Option(min=0, help=help_, rich_help_panel=PARAMETERS, metavar="N")


def _tokens(help_: str) -> Any:
    return typer.Option(help=help_, rich_help_panel=PARAMETERS, metavar="TOKENS")


Number = int | None
Text = str | None
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and its cost; send nothing.")]
StartOver = Annotated[
    bool, typer.Option("--start-over", help="Leave behind what was begun for this output, and begin anew.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask before sending to a public chain.")]
Config = Annotated[
    Path | None, typer.Option(help="TOML with a table named deploy; options win over it.", dir_okay=False)
]
Output = Annotated[
    Path, typer.Option(help="The network's file; beside it stands how far the deployment is.", dir_okay=False)
]


@app.command()
def deploy(
    rpc: Annotated[Text, _chain("URL of the chain's JSON-RPC (else $STRATA_RPC).")] = None,
    chain_id: Annotated[Number, _chain("Refuse any other chain than this one.", min=1)] = None,
    confirmations: Annotated[Number, _chain("Blocks on top of each transaction's own.", min=0, max=1000)] = None,
    config: Config = None,
    output: Output = Path("network.json"),
    name: Annotated[Text, typer.Option(help="The network's name.")] = None,
    treasury: Annotated[Text, _office("Gets the first tokens and slashed stake.")] = None,
    council: Annotated[Text, _office("Proposes and cancels what the timelock does.")] = None,
    guardian: Annotated[Text, _office("May pause openings of rounds, and nothing else.")] = None,
    governance_delay: Annotated[Number, _number("Seconds from proposal to execution (172,800).")] = None,
    unbonding: Annotated[Number, _number("Blocks from unstake to withdraw; no round is longer (50,400).")] = None,
    vesting: Annotated[Number, _number("Blocks from settlement to claim (7,200).")] = None,
    close_delay: Annotated[Number, _number("Blocks that a channel's close takes (7,200).")] = None,
    ballot: Annotated[Number, _number("Blocks that a vote on a dataset takes at most (7,200).")] = None,
    min_miner_stake: Annotated[Text, _tokens("A miner's least stake (1).")] = None,
    min_validator_stake: Annotated[Text, _tokens("A validator's least stake (10).")] = None,
    deposit: Annotated[Text, _tokens("A dataset's deposit (10).")] = None,
    dry_run: DryRun = False,
    start_over: StartOver = False,
    yes: Yes = False,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deploy a network: wired, read back, handed to its governance. Cut off, it goes on when it is given again.

    Example: strata deploy --rpc http://127.0.0.1:8545 --wallet alice --dry-run
    """
    chosen = settings(chain_rpc=rpc, wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    if not chosen.chain.rpc:
        raise ConfigError("Which chain? Give --rpc URL or set STRATA_RPC.")
    given: dict[str, Any] = {"name": name, "governance_delay_seconds": governance_delay, "unbonding_blocks": unbonding}
    given |= {"vesting_blocks": vesting, "close_delay_blocks": close_delay, "ballot_blocks": ballot}
    given |= _people(chosen, {"treasury": treasury, "council": council, "guardian": guardian})
    given |= _wei({"min_miner_stake": min_miner_stake, "min_validator_stake": min_validator_stake})
    given |= _wei({"dataset_deposit": deposit})
    if start_over and dry_run:
        raise ConfigError("Give --start-over or --dry-run, not both: a dry run changes nothing.")
    job = _Job(chosen, given, config, output, chain_id, confirmations)
    if start_over:
        job.start_over()
    if dry_run:
        job.show(as_json)
    else:
        job.run(as_json, yes)


def _people(chosen: Settings, offices: dict[str, str | None]) -> dict[str, str | None]:
    return {key: None if who is None else resolve_address(chosen, who) for key, who in offices.items()}


def _wei(amounts: dict[str, str | None]) -> dict[str, int | None]:
    from client.deploy_settings import amount

    return {key: None if text is None else amount(key, text) for key, text in amounts.items()}


class _Job:
    """One call of the command."""

    def __init__(
        self,
        chosen: Settings,
        given: dict[str, Any],
        config: Path | None,
        output: Path,
        chain_id: int | None,
        confirmations: int | None,
    ) -> None:
        from client.chain_rpc import Rpc
        from client.deploy_settings import read_settings

        self.chosen = chosen
        self.output = output
        self.confirmations = confirmations
        table, planned = ({}, None) if config is None else read_settings(config)
        if chain_id is not None and planned is not None and chain_id != planned:
            raise ConfigError(f"{config} is for chain {planned}, and --chain-id says {chain_id}. Which is right?")
        self.expected = chain_id if chain_id is not None else planned
        self.values = {**table, **{key: value for key, value in given.items() if value is not None}}
        self.rpc = Rpc(chosen.chain.rpc, timeout=30.0, patience=chosen.chain.patience_seconds)

    def start_over(self) -> None:
        """Sets what was begun aside, and the network's file with it."""
        from client.deploy_state import StateFile

        old = StateFile.beside(self.output).leave_behind()
        if self.output.exists():
            kept = self.output.with_name(f"{self.output.name}.old")
            self.output.replace(kept)
        if old is not None:
            say(f"What was begun is kept in {old}.")

    def _deployment(self, as_json: bool) -> Any:
        from client.chain_fees import is_local
        from client.deploy import Deployment
        from client.deploy_settings import DeploySettings

        number = int(self.rpc.request("eth_chainId"), 16)
        base = DeploySettings.local() if is_local(number) else DeploySettings()
        whole = DeploySettings(**{**base.__dict__, **self.values})
        heard = console(stderr=True)
        return Deployment(
            self.rpc,
            own_address(self.chosen),
            whole,
            self.output,
            chain_id=self.expected,
            say=lambda text: heard.print(text, markup=False, soft_wrap=True),
        )

    def show(self, as_json: bool) -> None:
        """What would be sent."""
        job = self._deployment(as_json)
        quote = job.quote()
        rows = [
            {
                "step": step.name,
                "address": step.to or quote.addresses[step.contract],
                "bytes": len(step.data) // 2 - 1,
                "gas": step.gas,
            }
            for step in quote.steps
        ]
        if as_json:
            show_json({**_head(job), **_cost(quote), "settings": job.settings.to_json(), "steps": rows})
            return
        columns = [
            Column("step", "Step"),
            Column("address", "Contract"),
            Column("bytes", "Bytes", "{:,}".format, "right"),
            Column("gas", "Gas at most", "{:,}".format, "right"),
        ]
        show(rows, columns, title=_title(job), empty="Nothing is left to be sent.")
        for key, value in job.settings.to_json().items():
            say(f"  {key} = {value}")
        say(_price(quote))

    def run(self, as_json: bool, yes: bool) -> None:
        """Sends it."""
        from client.chain_errors import explain
        from client.chain_send import Pace, Sender, default_confirmations, is_local
        from client.deploy import PACE
        from client.journal import FileJournal

        job = self._deployment(as_json)
        quote = job.quote()
        if quote.steps and not yes and not is_local(job.chain_id):
            self._ask(f"{_title(job)}: {_price(quote)}")
        account = open_account(self.chosen)
        journal = FileJournal(self.chosen.home / "journal" / account.address.lower())
        blocks = default_confirmations(job.chain_id) if self.confirmations is None else self.confirmations
        pace = Pace(confirmations=blocks, **PACE)
        network = job.run(Sender(self.rpc, account, journal, job.chain_id, explain, pace))
        if as_json:
            found = {"network": network.to_json(), "transactions": job.transactions, "sent": len(quote.steps)}
            show_json({**_head(job), "settings": job.settings.to_json(), **found, "file": str(self.output)})
            return
        done = "Deployed" if quote.steps else "Everything was deployed before"
        say(f"{done}, and all of it reads back as it should. The network's file: {self.output}")
        say(f"Use it with --network {self.output}, or STRATA_NETWORK={self.output}")

    def _ask(self, words: str) -> None:
        if not has_terminal():
            raise ConfigError(f"{words}. There is no terminal to ask whether to send it. Give --yes.")
        say(words)
        if not typer.confirm("Send it?"):
            raise ConfigError("Nothing was sent.")


def _head(job: Any) -> dict[str, Any]:
    return {"chain_id": job.chain_id, "deployer": job.deployer}


def _cost(quote: Any) -> dict[str, Any]:
    return {
        "transactions": len(quote.steps),
        "gas": quote.gas,
        "price_wei": quote.price,
        "cost_wei": quote.cost,
        "balance_wei": quote.balance,
    }


def _title(job: Any) -> str:
    return f"{job.settings.name} on chain {job.chain_id}, by {job.deployer}"


def _price(quote: Any) -> str:
    enough = "which is enough" if quote.balance >= quote.cost else "which is NOT enough"
    return (
        f"{len(quote.steps)} transactions, {quote.gas:,} gas and {tokens(quote.cost, 6)} coins at most "
        f"({quote.price / 10**9:.3f} gwei); the deployer has {tokens(quote.balance, 6)}, {enough}"
    )
