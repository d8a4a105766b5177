"""An operator's word about an endpoint, as it stands in Redis, in overrides.json and on the command line.

Owns the spelling: `drain`, `disable` or `weight=N`, with ` by NAME: reason` behind it where somebody said so.  A bare
word typed into redis-cli is as good as what the commands write.  What a word leads to stands in workers/agent/table.py.
Floor 1.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

from mesh.shared.slots import STATE_DISABLED, STATE_DRAIN, WEIGHT_SHIFT

DRAIN = "drain"
DISABLE = "disable"
WEIGHT = "weight="
MOST_WEIGHT = 1_000_000         # of an override
MOST_CHARS = 500                # of who and why together: it is written by hand and shown in one line

OVERRIDE_MASK = STATE_DRAIN | STATE_DISABLED | -(1 << WEIGHT_SHIFT)     # the bits of a state that a word decides


@dataclass(frozen=True, slots=True)
class Override:
    """`word` is drain, disable, weight=N, or "" for none."""

    word: str = ""
    who: str = ""
    why: str = ""

    def __str__(self) -> str:
        """As it is written down; `read_override` reads it back."""
        if not self.word:
            return ""
        who = f" by {self.who}" if self.who else ""
        return f"{self.word}{who}{f': {self.why}' if self.why else ''}"


def read_override(said: str) -> Override:
    """The word that was written; ValueError with a sentence for people where it is none."""
    said = " ".join(said.split())
    head, colon, why = said.partition(": ")
    word, by, who = head.partition(" by ")
    if not by and not colon:
        word, why = head.removesuffix(":"), ""
    return made(word, who, why)


def made(word: str, who: str = "", why: str = "") -> Override:
    """The same of its parts, cleaned so that it can be written down and read back; ValueError for a wrong word."""
    word = word.strip().lower()
    if word.startswith(WEIGHT):
        number = word.removeprefix(WEIGHT).strip()
        if not (number.isascii() and number.isdigit() and int(number) <= MOST_WEIGHT):
            raise ValueError(f'"{number}" is no weight: a whole number from 0 to {MOST_WEIGHT} is wanted')
        word = f"{WEIGHT}{int(number)}"
    elif word not in (DRAIN, DISABLE, ""):
        raise ValueError(f'"{word}" is no word for an endpoint: drain, disable or weight=N is wanted')
    if not word:
        return Override()
    # a name with ": " in it would end where it does not
    who = re.sub(":+ ", " ", " ".join(who.split()))[:MOST_CHARS].strip(" :")
    return Override(word, who, " ".join(why.split())[:MOST_CHARS].strip())


def bits_of(word: str) -> int:
    """The bits of SLOT_STATE that this word sets, under OVERRIDE_MASK."""
    if word == DRAIN:
        return STATE_DRAIN
    if word == DISABLE:
        return STATE_DISABLED
    return (int(word.removeprefix(WEIGHT)) + 1) << WEIGHT_SHIFT if word else 0
