"""hostmesh status: how the instance on this runtime directory is.

Owns how it looks.  What there is to say is gathered by workers/report.py from shared memory, so a dead or hanging
instance is told of as well.  Floor 4.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mesh.errors import ConfigError, Place, Problem
from workers.commands.paper import Paper, print_json
from workers.machine import read_static
from workers.memory import Refused
from workers.report import read_status

WATCHED_S = 1.0
_FILES = 20                     # that are listed, those with problems first


def status(config: str | None, as_json: bool, watch: bool) -> int:
    """Prints the status, again each second if it is watched; 0 when all is as it should be, 1 otherwise."""
    paper = Paper()
    try:
        static, _ = read_static(config)
    except ConfigError as refused:
        paper.problems(refused.problems)
        return 1
    while True:
        code = _once(paper, static.runtime_directory, as_json, clear=watch)
        if not watch:
            return code
        try:
            time.sleep(WATCHED_S)
        except KeyboardInterrupt:
            return code


def _once(paper: Paper, runtime_directory: str, as_json: bool, clear: bool) -> int:
    try:
        said = read_status(runtime_directory)
    except Refused as refused:
        if as_json:
            print_json({"good": False, "why": [str(refused)]})
        else:
            paper.line(str(refused))
        return 1
    if as_json:
        print_json(said)
    else:
        if clear and paper.is_colored:
            click.clear()
        show(paper, said)
    return 0 if said["good"] else 1


def show(paper: Paper, said: Mapping[str, Any]) -> None:
    """The whole picture, section by section."""
    good = paper.painted("good" if said["good"] else "not good", fg="green" if said["good"] else "red", bold=True)
    up = f", up {span(said['upSeconds'])}" if said["upSeconds"] is not None else ""
    paper.line(f"{paper.painted(said['product'], bold=True)} {said['version']} on {said['host'] or '?'}: {good}{up}")
    for why in said["why"]:
        paper.line(f"  {paper.painted('!', fg='red', bold=True)} {why}")
    _processes(paper, said)
    _entrances(paper, said)
    _configuration(paper, said)
    _traffic(paper, said)
    _problems(paper, said["problems"])


def _processes(paper: Paper, said: Mapping[str, Any]) -> None:
    paper.line()
    paper.title("processes")
    master, agent = said["master"], said["agent"]
    refused = paper.painted(f", refused: {master['staticRefused']:,}", fg="yellow") if master["staticRefused"] else ""
    reloads = f"reloads of the static file: {master['staticReloads']:,}"
    paper.line(f"  master      pid {_pid(paper, master)}, {reloads}{refused}")
    paper.line(f"  agent       pid {_pid(paper, agent)}{_started_again(agent['starts'])}")
    serving = sum(1 for worker in said["workers"] if worker["alive"] and not worker["draining"])
    died = f", died unasked: {said['workerDeaths']:,}" if said["workerDeaths"] else ""
    paper.line(f"  workers     {serving} of {said['workersWanted']}{died}")
    for worker in said["workers"]:
        how = "leaving" if worker["draining"] else f"generation {worker['generation']}"
        connections = _count(worker["connections"], "connection")
        paper.line(f"    {worker['number']:>3}       pid {_pid(paper, worker)}, {how}, {connections}")


def _entrances(paper: Paper, said: Mapping[str, Any]) -> None:
    paper.line()
    paper.title("addresses")
    for name, address in said["entryPoints"].items():
        paper.line(f"  {name:<10}  {address}")
    paper.line(f"  {'(admin)':<10}  {said['admin'] or 'off'}")
    if said["redis"]:
        paper.line(f"  {'(redis)':<10}  {paper.painted(said['redis'], fg='green' if said['redis'] == 'up' else 'red')}")


def _configuration(paper: Paper, said: Mapping[str, Any]) -> None:
    paper.line()
    paper.title("configuration")
    paper.line(f"  static      {said['staticFile']}")
    since = f" of {said['published']}" if said["published"] else ""
    failures = f", with errors: {said['reloadFailures']:,}" if said["reloadFailures"] else ""
    paper.line(f"  generation  {said['generation']}{since}; changes taken up: {said['reloads']:,}{failures}")
    for section, count in said["objects"].items():
        wrong = []
        if count["errors"]:
            do = "does" if count["errors"] == 1 else "do"
            wrong.append(paper.painted(f"{count['errors']:,} {do} not serve", fg="red"))
        if count["warnings"]:
            wrong.append(paper.painted(_count(count["warnings"], "warning"), fg="yellow"))
        also = ", ".join(wrong)
        if count["total"]:
            paper.line(f"  {section:<10}  {count['total']:,}{f' ({also})' if also else ''}")
    files = sorted(said["files"], key=lambda each: (each["state"] == "ok", each["file"]))
    for each in files[:_FILES]:
        state = paper.painted(f"{each['state']:<10}", fg={"ok": "green", "missing": "yellow"}.get(each["state"], "red"))
        paper.line(f"  {state}  {each['file']}")
    if len(files) > _FILES:
        paper.line(f"  ... and {len(files) - _FILES:,} more files")


def _traffic(paper: Paper, said: Mapping[str, Any]) -> None:
    requests = said["requests"]
    paper.line()
    paper.title("traffic")
    errors = paper.painted(f"{requests['errors']:,} answered 5xx", fg="yellow" if requests["errors"] else None)
    paper.line(f"  requests    {requests['total']:,}, {errors}, {requests['retries']:,} retries")
    paper.line(f"  now open    {_count(said['connections'], 'connection')}")
    if said["accessLogDropped"]:
        paper.line(paper.painted(f"  access log  {said['accessLogDropped']:,} lines could not be written", fg="yellow"))


def _problems(paper: Paper, problems: Sequence[Mapping[str, Any]]) -> None:
    if not problems:
        return
    paper.line()
    paper.title("problems")
    for each in problems:
        paper.problem(Problem(Place(each["file"], each["line"], each["column"], each.get("key", "")), each["object"],
                              each["message"], each["severity"], each["code"], each["hint"]))


def _pid(paper: Paper, process: Mapping[str, Any]) -> str:
    return str(process["pid"]) if process["alive"] else paper.painted(f"{process['pid']} (gone)", fg="red")


def _started_again(starts: int) -> str:
    return f", started {starts:,} times" if starts > 1 else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A span of time for people: 42 s, 3 min, 5 h 12 min, 3 d 4 h."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"
