"""Writes ``docs/reference/cli.md`` and ``docs/reference/http.md`` from the code, so that they cannot lag behind it.

``python -m devnet.reference`` writes them; ``python -m devnet.reference --check`` says whether they are up to date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `python -m devnet.reference`; edit the code, not this page. -->\n"


def cli_page() -> str:
    """Every command of ``strata`` with its arguments and options, as Markdown."""
    import typer
    from typer.main import get_command

    from client.cli.main import app

    root = get_command(app)
    parts = [
        f"# Commands\n\n{NOTE}\n"
        "`strata COMMAND --help` prints the same in the terminal; `--json` beside a table gives JSON."
    ]
    parts += [_command(path, command, context) for path, command, context in _walk(root, "strata", None, typer.Context)]
    return "\n\n".join(parts) + "\n"


def _walk(command: Any, path: str, parent: Any, context_type: Any) -> Iterator[tuple[str, Any, Any]]:
    if hasattr(command, "real"):  # a stand-in: help shows the command that it stands for
        command = command.real()
    context = context_type(command, info_name=path.rsplit(" ", 1)[-1], parent=parent)
    yield path, command, context
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _walk(child, f"{path} {name}", context, context_type)


def _command(path: str, command: Any, context: Any) -> str:
    lines = [f"{'#' * min(2 + path.count(' '), 4)} `{path}`"]
    text = _help_text(command)
    if text:
        lines.append(text)
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        names = record[0] if record else parameter.human_readable_name
        words = (record[1] if record else getattr(parameter, "help", "")) or ""
        if "--help" in names or "completion" in names:
            continue
        rows.append(f"| `{_cell(names)}` | {_cell(words)} |")
    if rows:
        lines.append("\n".join(["| argument or option | meaning |", "|---|---|", *rows]))
    return "\n\n".join(lines)


def _help_text(command: Any) -> str:
    """The docstring; indented lines become a code block, as the terminal shows them."""
    text = inspect.cleandoc((command.help or "").replace("\b\n", "").replace("\f", ""))
    return "\n".join(line.rstrip() for line in text.splitlines())


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace(str(Path.home()), "~")


def http_page() -> str:
    """The gateway's end points with parameters, bodies and answers, as Markdown."""
    from node.serving.gateway import describe

    return _http_page(describe())


def _http_page(spec: dict[str, Any]) -> str:
    parts = [
        f"# HTTP\n\n{NOTE}\n"
        "The gateway speaks OpenAI's schema, with the payment beside it. It binds to loopback unless told otherwise."
    ]
    for path, methods in sorted(spec["paths"].items()):
        for method, operation in sorted(methods.items()):
            parts.append(_operation(method.upper(), path, operation))
    schemas = spec.get("components", {}).get("schemas", {})
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items()) if "Validation" not in name]
    return "\n\n".join(parts) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"## `{method} {path}`", operation.get("description") or operation.get("summary", "")]
    rows = [
        _row(f"`{given['name']}`", given["in"], bool(given.get("required")), given.get("description", ""))
        for given in operation.get("parameters", [])
    ]
    if rows:
        lines.append("\n".join(["| parameter | in | required | meaning |", "|---|---|---|---|", *rows]))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        lines.append(f"Body: `{body['$ref'].rsplit('/', 1)[-1]}`, below.")
    answers = [
        f"| {code} | {_cell(answer.get('description', ''))} |" for code, answer in operation["responses"].items()
    ]
    lines.append("\n".join(["| status | meaning |", "|---|---|", *answers]))
    return "\n\n".join(lines)


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", []))
    rows = [
        _row(f"`{field}`", _kind(about), field in required, about.get("description", ""))
        for field, about in schema.get("properties", {}).items()
    ]
    table = "\n".join(["| field | type | required | meaning |", "|---|---|---|---|", *rows])
    return f"### `{name}`\n\n{schema.get('description', '')}\n\n{table}"


def _row(name: str, kind: str, required: bool, words: str) -> str:
    return f"| {name} | {kind} | {'yes' if required else 'no'} | {_cell(words)} |"


def _kind(about: dict[str, Any]) -> str:
    if "$ref" in about:
        return f"`{about['$ref'].rsplit('/', 1)[-1]}`"
    if "anyOf" in about:
        return " or ".join(_kind(one) for one in about["anyOf"])
    if about.get("type") == "array":
        return f"list of {_kind(about.get('items', {}))}"
    return str(about.get("type", "any"))


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are out of date (exit code 1)."""
    pages = {DOCS / "cli.md": cli_page(), DOCS / "http.md": http_page()}
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is out of date: run python -m devnet.reference")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
        print(f"wrote docs/reference/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
