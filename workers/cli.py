"""The command line: which commands there are, and what they take.

Owns words, options and exit codes: 0 good, 1 refused or failed, 2 wrong usage.  What a command does stands in its own
file below workers/commands and is imported when it is called, so that `hostmesh version` and the completion of a shell
do not wait for the data path to load.  Floor 4.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from mesh.errors import did_you_mean
from mesh.names import PRODUCT, VERSION

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULT_FILE = "/etc/hostmesh/hostmesh.yml"
_FILE = click.Path(dir_okay=False)


def _config(call: F) -> F:
    return click.option("--config", metavar="FILE", type=_FILE, help=f"The static file.  [{_DEFAULT_FILE}]")(call)


def _takes_config(call: F) -> F:
    """For commands that need no static file: every command takes the option, so that scripts may always give it."""
    return click.option("--config", metavar="FILE", type=_FILE, hidden=True, expose_value=False)(call)


def _json(call: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")(call)


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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def main() -> None:
    """A service mesh with one proxy per host and no sidecars.

    Exit codes: 0 good, 1 refused or failed, 2 wrong usage.
    """


@main.command()
@_config
def run(config: str | None) -> None:
    """Serve, in the foreground, until told to stop.

    TERM stops and lets requests finish, INT stops at once, HUP takes up the static file (see reload), USR1 opens log
    files anew, TTIN and TTOU add or take away a worker.
    """
    from workers.commands.run import run

    sys.exit(run(config))


@main.command()
@_config
@_json
@click.argument("files", nargs=-1, type=click.Path())
def check(config: str | None, as_json: bool, files: tuple[str, ...]) -> None:
    """Tell everything that is wrong with the configuration.

    It is read as a start or a reload would read it, and nothing is changed. With FILES (dynamic files or directories
    of them) these are read in place of those that the static file names.
    """
    from workers.commands.check import check

    sys.exit(check(config, files, as_json))


@main.command()
@_config
@_json
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request.")
@click.option("--entrypoint", metavar="NAME", default="", help="Where it arrives.  [by the port of the URL]")
@click.option("--from", "peer", metavar="ADDRESS", default="127.0.0.1", help="Who sends it.  [127.0.0.1]")
@click.option("--all", "everything", is_flag=True, help="List every router, not the nearest ten alone.")
@click.argument("method")
@click.argument("url")
def explain(config: str | None, as_json: bool, headers: tuple[str, ...], entrypoint: str, peer: str, everything: bool,
            method: str, url: str) -> None:
    """Tell which router takes a request, and why others do not.

    Nothing is sent. The answer comes from the instance that runs on the runtime directory of the static file, or from
    the files where none runs. Exit code 1 means that the answer would be 404, or a refusal.

    \b
        hostmesh explain GET http://orders.shop.mesh/api/1 -H 'X-Tenant: blue'
    """
    from workers.commands.explain import Asked
    from workers.commands.explain import explain as answer

    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter(f"'{header}' has no colon; wanted 'Name: value'", param_hint="-H")
        pairs.append((name, value.strip()))
    sys.exit(answer(Asked(method, url, tuple(pairs), peer, entrypoint), config, as_json, everything))


@main.command()
@_config
@_json
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
def status(config: str | None, as_json: bool, watch: bool) -> None:
    """Tell how the running instance is.

    Exit code 1 means that it does not run, or that something is not as it should be.
    """
    from workers.commands.status import status

    sys.exit(status(config, as_json, watch))


@main.command()
@_config
@_json
def reload(config: str | None, as_json: bool) -> None:
    """Take up the static file now.

    It is validated first, then the running instance is asked and its answer is waited for. No request is lost. Dynamic
    files are taken up as they are saved and need no reload.
    """
    from workers.commands.reload import reload

    sys.exit(reload(config, as_json))


@main.command()
@_takes_config
@click.option("--for", "seconds", type=click.FloatRange(min=0), default=None, metavar="SECONDS",
              help="End by itself after so long.  [until Ctrl-C]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="Where the proxy listens on 127.0.0.1.")
@click.option("--admin-port", type=click.IntRange(0, 65535), metavar="PORT", help="Where its admin address is.")
def demo(seconds: float | None, port: int | None, admin_port: int | None) -> None:
    """Show a small mesh that runs on this machine alone.

    Three real services, the proxy, and a directory that may be edited while it runs. Nothing stays behind.
    """
    from workers.demo import run_demo

    sys.exit(run_demo(seconds, port, admin_port))


@main.command()
@_takes_config
@click.argument("which", required=False, type=click.Choice(["static", "dynamic"]), metavar="[static|dynamic]")
@click.option("--markdown", is_flag=True, help="Print the reference for people instead.")
@click.option("--write", metavar="PAGE", type=click.Path(exists=True, dir_okay=False), hidden=True,
              help="Put the reference between the marks of this page.")
def schema(which: str | None, markdown: bool, write: str | None) -> None:
    """Print the JSON Schema of the files, for editors.

    Of the static file, of dynamic files, or of both in one document. Editors complete and check from it. With the
    YAML language server, save it and name it in the first line of a file:

    \b
        # yaml-language-server: $schema=/etc/hostmesh/dynamic.schema.json
    """
    from workers.commands.schema import print_schema

    sys.exit(print_schema(which or "", markdown, write))


@main.command("redis-cli", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_config
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def redis_cli(config: str | None, args: tuple[str, ...]) -> None:
    """Run redis-cli at the Redis of this host, the configured or the private one; ARGS are its own."""
    from workers.commands.redis_cli import redis_cli as become

    sys.exit(become(config, args))


@main.command()
@_takes_config
@_json
def version(as_json: bool) -> None:
    """Print the version, and those of the libraries below."""
    from workers.commands.version import print_version

    sys.exit(print_version(as_json))


if __name__ == "__main__":
    main(prog_name=PRODUCT)
