"""What several commands of the command line share: options, kinds of arguments, and the nearest right word.

Owns the spelling of what is wrong with a command line.  The commands themselves stand in cli.py.  Floor 4.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from mesh.errors import did_you_mean
from mesh.names import PRODUCT

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULT_FILE = "/etc/hostmesh/hostmesh.yml"
_FILE = click.Path(dir_okay=False)


def config_option(call: F) -> F:
    return click.option("--config", metavar="FILE", type=_FILE, help=f"The static file.  [{_DEFAULT_FILE}]")(call)


def hidden_config_option(call: F) -> F:
    """For commands that need no static file: every command takes the option, so that scripts may always give it."""
    return click.option("--config", metavar="FILE", type=_FILE, hidden=True, expose_value=False)(call)


def json_option(call: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")(call)


def redis_option(call: F) -> F:
    return click.option("--redis", metavar="ADDRESS", default="", callback=_address, help="host:port or unix:///path. "
                        " [that of the static file, else the one that hostmesh runs on this host]")(call)


class Span(click.ParamType):
    """A span of time such as 15s, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from mesh.providers.kinds import duration

        seconds = value if isinstance(value, float) else duration(value)
        if seconds < 0 or seconds > 86400:
            self.fail(f'"{value}" is not a span of time such as 15s or 1m30s, a day at most', param, ctx)
        return float(seconds)


def _address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if ("://" in value and not value.startswith("unix:///")) or "@" in value:
        raise click.BadParameter("wanted host:port or unix:///path; whatever else there is to say stands in the static"
                                 " file", ctx, param)
    return value


def pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, mark, said = value.partition("=")
        if not mark or not key:
            raise click.BadParameter(f"'{value}' has no =; wanted KEY=VALUE", ctx, param)
        pairs[key] = said
    return pairs


class Command(click.Command):
    """A command that knows the nearest right word for a wrong option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as unknown:
            raise _wrong_word(ctx, unknown.option_name, f"an option of {ctx.command_path}",
                              (name for each in self.get_params(ctx) for name in each.opts)) from None


class Commands(click.Group):
    """The commands, and the nearest right word for one that does not exist."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as unknown:
            name = unknown.option_name
            if any(name in each.opts for command in self.commands.values() for each in command.params):
                raise click.UsageError(f"{name} stands behind the command: {PRODUCT} COMMAND {name} ...", ctx) from None
            raise _wrong_word(ctx, name, f"an option of {PRODUCT}", ("--help", "--version")) from None

    def resolve_command(
            self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise _wrong_word(ctx, args[0], "a command", self.commands)


def _wrong_word(ctx: click.Context, said: str, what: str, known: Iterable[str]) -> click.UsageError:
    hint = did_you_mean(said, known)
    return click.UsageError(f'"{said}" is not {what}{f" ({hint})" if hint else ""}', ctx)
