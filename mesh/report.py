"""What a person means by a few letters: which service, which endpoint.

Owns the short forms that commands take in place of whole names, and the sentence for one that fits nothing or too much.
Floor 2.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from mesh.errors import did_you_mean
from mesh.names import MESH_ZONE

_SHOWN = 8              # names in a sentence


class Unclear(Exception):
    """The words fit nothing, or more than one thing; one line for a person."""


def service_meant(said: str, services: Collection[str]) -> str:
    """The service that is meant, by its name for people: orders.shop, its DNS name, its name in the model, or `web` for
    web@file where no other provider has one.  Raises Unclear.
    """
    if said in services:
        return said
    short = said.removesuffix("@mesh").removesuffix(f".{MESH_ZONE}")
    if short in services:
        return short
    found = sorted(name for name in services if name.partition("@")[0] == said)
    if len(found) == 1:
        return found[0]
    if found:
        raise Unclear(f'"{said}" may be {_or(found)}')
    hint = did_you_mean(said, services) or (f"known: {_some(sorted(services))}" if services else "there are none")
    raise Unclear(f'there is no service "{said}" ({hint})')


def endpoint_meant(said: str, urls: Collection[str], service: str) -> str:
    """The endpoint that is meant: its url, or so much of it as no other has: 10.0.3.17, :8081, 10.0.3.17:8080, 3.17.

    Raises Unclear.  Digits of an address are never taken apart: 10.0.3.1 is not 10.0.3.17.
    """
    wanted = said.rstrip("/")
    for fits in (_is_url, _is_address, _is_host, _is_port, _is_part):
        found = sorted(url for url in urls if fits(wanted, url))
        if len(found) == 1:
            return found[0]
        if found:
            raise Unclear(f'"{said}" may be {_or(found)}')
    hint = did_you_mean(said, urls) or did_you_mean(f"http://{said}", urls)
    hint = hint or (f"known: {_some(sorted(urls))}" if urls else "it has none")
    raise Unclear(f'{service} has no endpoint "{said}" ({hint})')


def _is_url(said: str, url: str) -> bool:
    return said == url.rstrip("/")


def _is_address(said: str, url: str) -> bool:
    return said == urlsplit(url).netloc


def _is_host(said: str, url: str) -> bool:
    return said.strip("[]").lower() == (urlsplit(url).hostname or "")


def _is_port(said: str, url: str) -> bool:
    return said.startswith(":") and urlsplit(url).netloc.endswith(said)


def _is_part(said: str, url: str) -> bool:
    """The last parts of an address, or the first label of a name, with a port or without."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    for whole in (host, parts.netloc.lower()):
        if whole.endswith(f".{said.lower()}"):
            return True
    return bool(said) and not host.replace(".", "").isdigit() and host.partition(".")[0] == said.lower()


def _or(names: list[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])}, ... ({len(names)} in all)"
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _some(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
