"""Groups that have a default command, so that ``strata rounds law`` needs no verb."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class DefaultGroup(TyperGroup):
    """Whatever names no command of the group goes to its ``show``."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the default command in front where none is named."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def group(help_text: str) -> typer.Typer:
    """A group with a default command."""
    return typer.Typer(cls=DefaultGroup, help=help_text, pretty_exceptions_show_locals=False, add_completion=False)


def plain_group(help_text: str) -> typer.Typer:
    """A group without one."""
    return typer.Typer(help=help_text, no_args_is_help=True, pretty_exceptions_show_locals=False, add_completion=False)


def single() -> typer.Typer:
    """A command that stands alone."""
    return typer.Typer(pretty_exceptions_show_locals=False, add_completion=False)
