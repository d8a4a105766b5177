"""The command line: which commands there are, and what they take.

Owns words, options and exit codes: 0 good, 1 refused or failed, 2 wrong usage.  What a command does stands in its own
file below workers/commands and is imported when it is called, so that `hostmesh version` and the completion of a shell
do not wait for the data path to load.  Floor 4.
"""
from __future__ import annotations

import sys

import click

from mesh.names import PRODUCT, VERSION
from workers.options import Commands, F, Span, config_option, hidden_config_option, json_option, pairs, redis_option


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def main() -> None:
    """A service mesh with one proxy per host and no sidecars.

    Exit codes: 0 good, 1 refused or failed, 2 wrong usage.
    """


@main.command()
@config_option
def run(config: str | None) -> None:
    """Serve, in the foreground, until told to stop.

    TERM stops and lets requests finish, INT stops at once, HUP takes up the static file (see reload), USR1 opens log
    files anew, TTIN and TTOU add or take away a worker.
    """
    from workers.commands.run import run

    sys.exit(run(config))


@main.command()
@config_option
@json_option
@click.option("--redis", "with_redis", is_flag=True, help="Look at what the Redis provider says, too.")
@click.argument("files", nargs=-1, type=click.Path())
def check(config: str | None, as_json: bool, with_redis: bool, files: tuple[str, ...]) -> None:
    """Tell everything that is wrong with the configuration.

    It is read as a start or a reload would read it, and nothing is changed. With FILES (dynamic files or directories
    of them) these are read in place of those that the static file names. Redis is looked at with --redis alone.
    """
    from workers.commands.check import check

    sys.exit(check(config, files, as_json, with_redis))


@main.command()
@config_option
@json_option
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
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
def status(config: str | None, as_json: bool, watch: bool) -> None:
    """Tell how the running instance is.

    Exit code 1 means that it does not run, or that something is not as it should be.
    """
    from workers.commands.status import status

    sys.exit(status(config, as_json, watch))


@main.command()
@config_option
@json_option
def services(config: str | None, as_json: bool) -> None:
    """List the services, and how many endpoints of each are up."""
    from workers.commands.services import services

    sys.exit(services(config, as_json))


@main.command()
@config_option
@json_option
@click.argument("service")
def endpoints(config: str | None, as_json: bool, service: str) -> None:
    """Tell how each endpoint of a service is, why, and since when.

    It is what this host sees and acts by, also when its agent is dead. What other hosts say stands below where they
    say something else.
    """
    from workers.commands.endpoints import endpoints

    sys.exit(endpoints(config, service, as_json))


@main.command()
@config_option
@json_option
def hosts(config: str | None, as_json: bool) -> None:
    """List the hosts of the mesh, and how each is."""
    from workers.commands.hosts import hosts

    sys.exit(hosts(config, as_json))


@main.command()
@config_option
@json_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--last", type=click.IntRange(0, 10_000), default=20, metavar="N",
              help="How many of the past; 0 for none but what comes.  [20]")
def events(config: str | None, as_json: bool, follow: bool, last: int) -> None:
    """Tell what happened on all hosts: who changed what, what went up and down."""
    from workers.commands.events import events

    sys.exit(events(config, last, follow, as_json))


_WHY = click.option("--why", default="", metavar="TEXT", help="The reason, for whoever looks next.")


def _about_an_endpoint(call: F) -> F:
    """What every word about an endpoint takes: of which service, which one, and why."""
    return config_option(json_option(_WHY(click.argument("service")(click.argument("url")(call)))))


def _say(config: str | None, as_json: bool, word: str, service: str, url: str, why: str = "") -> None:
    from workers.commands.override import Asked, override

    sys.exit(override(config, Asked(word, service, url, why), as_json))


@main.command()
@_about_an_endpoint
def drain(config: str | None, as_json: bool, why: str, service: str, url: str) -> None:
    """Send nothing new to an endpoint; what is under way and sticky sessions go on.

    On every host within a second, and until it is taken back, reloads and restarts notwithstanding. URL may be as
    much of it as no other endpoint of the service has: 10.0.3.17, :8081.

    \b
        hostmesh drain orders.shop 10.0.3.17 --why "new kernel"
    """
    _say(config, as_json, "drain", service, url, why)


@main.command()
@_about_an_endpoint
def undrain(config: str | None, as_json: bool, why: str, service: str, url: str) -> None:
    """Take a drain back."""
    _say(config, as_json, "undrain", service, url, why)


@main.command()
@_about_an_endpoint
def disable(config: str | None, as_json: bool, why: str, service: str, url: str) -> None:
    """Send nothing to an endpoint, not even sticky sessions."""
    _say(config, as_json, "disable", service, url, why)


@main.command()
@_about_an_endpoint
def enable(config: str | None, as_json: bool, why: str, service: str, url: str) -> None:
    """Take a disable back."""
    _say(config, as_json, "enable", service, url, why)


@main.command()
@_about_an_endpoint
@click.argument("number", metavar="N|default")
def weight(config: str | None, as_json: bool, why: str, service: str, url: str, number: str) -> None:
    """Give an endpoint another weight than its file does.

    It holds until "default" takes it back; 0 is no new requests at all.
    """
    if number != "default" and not (number.isascii() and number.isdigit() and int(number) <= 1_000_000):
        raise click.BadParameter(f'"{number}" is no weight: a whole number from 0 to 1000000, or default',
                                 param_hint="N|default")
    _say(config, as_json, number if number == "default" else f"weight={int(number)}", service, url, why)


@main.command()
@config_option
@json_option
def reload(config: str | None, as_json: bool) -> None:
    """Take up the static file now.

    It is validated first, then the running instance is asked and its answer is waited for. No request is lost. Dynamic
    files are taken up as they are saved and need no reload.
    """
    from workers.commands.reload import reload

    sys.exit(reload(config, as_json))


@main.command()
@config_option
@json_option
@redis_option
@click.option("--id", "id_", default="", metavar="ID", help="Its name in the mesh.  [host:port of the URL]")
@click.option("--weight", type=click.IntRange(0, 1_000_000), default=1, metavar="N", help="Its share.  [1]")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", callback=pairs, help="A word about it, for people.")
@click.option("--health", default="", metavar="PATH", help="It answers when GET PATH is answered 2xx or 3xx.  [when it"
              " takes a connection]")
@click.option("--ttl", type=Span(), default="15s", metavar="SPAN", help="How long the mesh believes it without a"
              " heartbeat.  [15s]")
@click.option("--no-ttl", is_flag=True, help="For ever, until it is deregistered; without COMMAND alone.")
@click.option("--drain", type=Span(), default="5s", metavar="SPAN", help="How long requests under way have, before it"
              " is stopped.  [5s]")
@click.option("--stop-timeout", type=Span(), default="30s", metavar="SPAN", help="From TERM to KILL.  [30s]")
@click.argument("service")
@click.argument("url")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def register(config: str | None, as_json: bool, redis: str, id_: str, weight: int, meta: dict[str, str], health: str,
             ttl: float, no_ttl: bool, drain: float, stop_timeout: float, service: str, url: str,
             command: tuple[str, ...]) -> None:
    """Tell the mesh of an instance, and run it.

    With a COMMAND, runs it, registers it when its URL answers, keeps it registered, and when it is told to end (TERM,
    INT) drains and deregisters it before it stops it. Signals, exit code and systemd's notifications pass through.
    Without one, registers once. URL may be :PORT for this host's address.

    \b
        hostmesh register orders.shop http://10.0.3.17:8080 -- /usr/bin/orders --port 8080
        ExecStart=hostmesh register orders.shop :8080 -- /usr/bin/orders --port 8080
    """
    if no_ttl and command:
        raise click.UsageError("--no-ttl is for instances that nobody runs here: without COMMAND")
    if not no_ttl and ttl < 1:
        raise click.BadParameter("wanted 1s at least", param_hint="--ttl")
    if health and not health.startswith("/"):
        raise click.BadParameter(f"'{health}' is not a path; wanted /{health}", param_hint="--health")
    from workers.commands.register import Asked
    from workers.commands.register import register as answer

    asked = Asked(service, url, id_, weight, meta, health, 0.0 if no_ttl else ttl, drain, stop_timeout, redis, config)
    sys.exit(answer(asked, command, as_json))


@main.command()
@config_option
@json_option
@redis_option
@click.argument("service")
@click.argument("url", metavar="URL|ID")
def deregister(config: str | None, as_json: bool, redis: str, service: str, url: str) -> None:
    """Take an instance out of the mesh.

    One that hostmesh register runs comes back by its heartbeat: stop it, or drain it.
    """
    from workers.commands.register import Asked
    from workers.commands.register import deregister as answer

    sys.exit(answer(Asked(service, url, redis=redis, config=config), as_json))


@main.command()
@hidden_config_option
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
@hidden_config_option
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
@config_option
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def redis_cli(config: str | None, args: tuple[str, ...]) -> None:
    """Run redis-cli at the Redis of this host.

    It is the configured one, or else the private one that hostmesh runs; ARGS are redis-cli's own.
    """
    from workers.commands.redis_cli import redis_cli as become

    sys.exit(become(config, args))


@main.command()
@hidden_config_option
@json_option
def version(as_json: bool) -> None:
    """Print the version, and those of the libraries below."""
    from workers.commands.version import print_version

    sys.exit(print_version(as_json))


if __name__ == "__main__":
    main(prog_name=PRODUCT)
