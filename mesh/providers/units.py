"""What a unit of systemd says about itself for the mesh: X-Mesh-Service=, X-Mesh-Port= and the like.

Owns the words and how unit files are read for them: the fragment, then its drop-ins, the last word counts, specifiers
such as %i are filled in as systemd would (systemd.unit(5)).  systemd ignores whatever begins with X-, so they may stand
in [Service], or without the prefix in a section [X-Mesh].  Floor 2.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mesh.errors import did_you_mean
from mesh.providers.instances import Instance

SECTION, PREFIX = "X-Mesh", "X-Mesh-"
WORDS = ("Service", "Port", "Weight", "Scheme", "Address")
SOURCE = "systemd"
_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")


def read_unit(texts: Iterable[str]) -> dict[str, str]:
    """The words for the mesh in a unit's files, the fragment first; nothing where it is none of the mesh's."""
    said: dict[str, str] = {}
    for text in texts:
        section = ""
        for line in _lines(text):
            if line.startswith("["):
                section = line.strip("[]")
                continue
            key, mark, value = line.partition("=")
            key = key.strip()
            if not mark or not (key.startswith(PREFIX) or section == SECTION):
                continue
            word = key.removeprefix(PREFIX)
            said[word] = value.strip()
    return {word: value for word, value in said.items() if value}       # an empty word takes back what was said


def _lines(text: str) -> Iterable[str]:
    """Lines as systemd counts them: joined where one ends in a backslash, without comments and empty ones."""
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue                        # inside a continued line as well
        if line.endswith("\\"):
            whole += f"{line[:-1]} "
            continue
        whole = (whole + line).strip()
        if whole:
            yield whole
        whole = ""
    if whole.strip():
        yield whole.strip()


def instance_of(unit: str, said: Mapping[str, str], host: str, address: str, draining: bool = False) -> Instance | None:
    """The endpoint that a unit is while it runs on this host, None for one that names no service.

    `unit` is its full name (orders@8081.service), `address` where this host is reached, unless the unit says another.
    """
    if not said:
        return None
    try:
        filled = {word: _filled(value, unit, host) for word, value in said.items()}
    except ValueError as error:
        return Instance(said.get("Service", ""), "", 1, unit, SOURCE, host, wrong=str(error))
    wrong = _wrong(filled)
    service, where = filled.get("Service", ""), filled.get("Address", address)
    if wrong:
        return Instance(service, "", 1, unit, SOURCE, host, wrong=wrong)
    at = f"[{where}]" if ":" in where and not where.startswith("[") else where
    return Instance(service, f"{filled.get('Scheme', 'http')}://{at}:{filled['Port']}", int(filled.get("Weight", "1")),
                    unit, SOURCE, host, {"unit": unit}, draining)


def _wrong(said: Mapping[str, str]) -> str:
    for word in said:
        if word not in WORDS:
            known = [PREFIX + each for each in WORDS]
            hint = did_you_mean(PREFIX + word, known)
            return f"{PREFIX}{word} is not known ({hint or 'wanted ' + ', '.join(known)})"
    if "Service" not in said:
        return f"{PREFIX}Service is missing; wanted <service>.<namespace> such as orders.shop"
    port = said.get("Port", "")
    if not port:
        return f"{PREFIX}Port is missing; wanted the port that the unit listens on"
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        return f'{PREFIX}Port: "{port}" is not a port; wanted 1 to 65535'
    weight = said.get("Weight", "1")
    if not (weight.isascii() and weight.isdigit() and len(weight) < 8):
        return f'{PREFIX}Weight: "{weight}" is not a whole number'
    return ""


def _filled(value: str, unit: str, host: str) -> str:
    """A value with its specifiers filled in; ValueError for one that is not known here."""
    name, _, _ = unit.rpartition(".")
    prefix, _, instance = name.partition("@")
    known = {"i": instance, "I": _unescaped(instance), "p": prefix, "P": _unescaped(prefix), "n": unit, "N": name,
             "H": host, "%": "%"}

    def fill(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(f'"{match[0]}" is not known; wanted one of {", ".join("%" + each for each in known)}')
        return known[match[1]]

    return _SPECIFIER.sub(fill, value)


def _unescaped(text: str) -> str:
    """What systemd-escape(1) made of a name, back again."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text.replace("-", "/"))
