"""``strata user``: a personal adapter on a field model. It is made, kept and used on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from node.models.load import LoadedModel
    from node.serving.engine import Message

app = typer.Typer(
    name="user", help="A personal model that stays on this machine.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_show_locals=False,
)  # fmt: skip

ModelOption = Annotated[str, typer.Option("--model", "-m", help="The field model to build on (see `strata models`).")]


@app.command()
def adapt(
    file: Annotated[Path, typer.Argument(help="Your text: a file, or a folder of text files.")],
    model: ModelOption = "law",
    steps: Annotated[int, typer.Option(min=1, help="At most so many training steps.")] = 40,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Processor threads; 0: as many as there are cores.")] = 0,
) -> None:
    """Learn from your own text. Nothing of it is sent anywhere; a fifth is held out, to show whether it helped.

    Example: strata user adapt my-contracts.txt --model law
    """
    from rich.progress import Progress

    from client.cli.context import settings
    from node.training.inner import Step
    from node.training.personal import PersonalSettings, read_text
    from node.training.personal import adapt as learn

    documents = read_text(file)
    loaded, head = _field_model(model, threads)
    with Progress(transient=True) as bars:
        bar = bars.add_task(f"learning from {file.name}", total=None)

        def show(step: Step) -> None:
            bars.update(bar, completed=step.step, total=step.steps, description=f"loss {step.loss:.3f}")

        made = learn(loaded, model, head, documents, settings().home, PersonalSettings(steps=steps), show)
    share = 100 * made.fall.mean / made.before
    typer.echo(f"Loss on your held-out text: {made.before:.3f} before, {made.after:.3f} after ({-share:+.1f}%)")
    typer.echo(f"  a fall of {made.fall.mean:.4f} nats a token, standard error {made.fall.error:.4f}")
    if made.kept:
        typer.echo(f"Kept in {made.folder}, readable by you alone. Try: strata user chat --model {model}")
    else:
        typer.echo("It did not get better, so nothing was kept. More text, or more steps, may help.")


@app.command()
def chat(
    question: Annotated[str | None, typer.Argument(help="One question; without it, a conversation.")] = None,
    model: ModelOption = "law",
    plain: Annotated[bool, typer.Option("--plain", help="Without your adapter, to compare.")] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 200,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Processor threads; 0: as many as there are cores.")] = 0,
) -> None:
    """Talk to your personal model, on this machine. Nothing is sent, nothing is paid.

    Example: strata user chat "What does my contract say about notice?"
    """
    from client.cli.context import settings
    from node.serving.engine import Message
    from node.training.personal import open_personal

    loaded, _ = _field_model(model, threads)
    if not plain:
        loaded, _ = open_personal(loaded, model, settings().home)
    said: list[Message] = []
    while True:
        asked = question or typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
        if not asked.strip():
            return
        said.append(Message("user", asked))
        said.append(Message("assistant", _answer(loaded, said, max_tokens)))
        if question:
            return


def _answer(model: LoadedModel, said: list[Message], max_tokens: int) -> str:
    """Print an answer as it comes; Ctrl-C ends it."""
    import threading

    from node.serving.engine import Prompt
    from node.serving.model_engine import decode

    parts: list[str] = []
    try:
        for piece in decode(model, Prompt(tuple(said), max_tokens), threading.Event()):
            typer.echo(piece.text, nl=False)
            parts.append(piece.text)
    except KeyboardInterrupt:
        typer.echo(" [stopped]", nl=False)
    typer.echo("")
    return "".join(parts)


def _field_model(name: str, threads: int) -> tuple[LoadedModel, str]:
    """The named model at its head on chain, and that head. Chain and IPFS are read; nothing is written to either."""
    from node.threads import limit_threads, threads_for

    limit_threads(threads_for(threads))
    from client.cli.context import chain, settings
    from client.errors import ConfigError
    from client.replay import load_state
    from client.storage import IpfsStore
    from node.models.load import load_genesis

    chosen = settings()
    network = chosen.network()
    if not network.ipfs:
        raise ConfigError("the network's file names no IPFS daemon, so its models can't be read")
    store = IpfsStore(network.ipfs, chosen.cache_folder(), chosen.cache_bytes())
    info = chain(chosen).model(name)
    loaded = load_genesis(store, info.genesis, chosen.cache_folder(), trainable=False)
    if info.head != info.genesis:
        loaded.set_vector(load_state(store, info.head).theta)
    return loaded, info.head.hex()
