"""``strata ask``: a question, its answer as it comes, and the voucher that pays for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import JsonOption, PassphraseOption, WalletOption, chain, open_account, settings
from client.cli.groups import single
from client.cli.output import console, parse_tokens, show_json, tokens
from client.errors import ConfigError

if TYPE_CHECKING:
    from client.asking import Answer
    from client.gateway_client import Quote

app = single()

DEFAULT_DEPOSIT = "2"


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know; `-` reads it from standard input.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name, or auto: the one that fits.")] = "auto",
    max_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.", min=1)] = 128,
    temperature: Annotated[float, typer.Option(help="0: the likeliest answer.", min=0.0, max=2.0)] = 0.0,
    deposit: Annotated[str, typer.Option(help="Tokens to lock when a channel must be opened.")] = DEFAULT_DEPOSIT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Open or fill a channel without asking.")] = False,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question. The answer streams to standard output; model, reasons and price go to standard error.

    Example: strata ask "What does the MIT license allow me to do?" --yes
    """
    from client.asking import Asker, Wish
    from client.gateway_client import GatewayClient
    from client.payments import ChannelBook, Payer

    text = _read(question)
    amount = parse_tokens(deposit, "deposit")
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    network = chosen.network()
    if not network.gateway:
        raise ConfigError("This network names no gateway. Give its URL: STRATA_GATEWAY_URL=http://127.0.0.1:8080")
    with GatewayClient(network.gateway, chosen.gateway.timeout_seconds) as gateway:
        quote = gateway.quote(model, text)  # before anybody types a passphrase
        account = open_account(chosen)
        on_chain = chain(chosen, account)
        payer = Payer(on_chain, network, account, ChannelBook(chosen.home / "channels.json"))
        asker = Asker(gateway, payer, lambda message: _agree(message, yes))
        wish = Wish(text, model, min(max_tokens, quote.max_tokens), temperature, amount)
        if not as_json:
            _say_choice(quote)
        answer = asker.ask(quote, wish, (lambda piece: None) if as_json else _say_piece)
    if as_json:
        show_json(answer.to_json())
    else:
        _say_price(answer)


def _read(question: str) -> str:
    text = sys.stdin.read(100_001) if question == "-" else question
    if not text.strip():
        raise ConfigError("The question is empty.")
    if len(text) > 30_000:
        raise ConfigError("The question is longer than 30,000 characters.")
    return text


def _agree(message: str, yes: bool) -> bool:
    """Ask the person, unless they agreed beforehand."""
    if yes:
        console(stderr=True).print(message, style="dim", markup=False)
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"{message} There is no terminal to ask on: give --yes to agree.")
    return typer.confirm(f"{message} Agree?", err=True)


def _say_choice(quote: Quote) -> None:
    line = console(stderr=True)
    line.print(f"{quote.model} answers (round {quote.round}): {'; '.join(quote.reasons)}", style="cyan", markup=False)


def _say_piece(piece: str) -> None:
    console().print(piece, end="", markup=False, soft_wrap=True)
    sys.stdout.flush()


def _say_price(answer: Answer) -> None:
    console().print()
    usage: dict[str, Any] = answer.usage
    count = usage.get("completion_tokens", "?")
    line = f"{count} tokens, {tokens(answer.cost_wei, 6)} STR paid by voucher"
    if not answer.paid:
        line = f"{count} tokens; the voucher did not reach the server, the next question pays"
    console(stderr=True).print(f"{line}; {tokens(answer.left_wei)} STR left in the channel", style="dim", markup=False)
