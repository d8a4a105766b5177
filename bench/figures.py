"""From raw samples to the table: medians, ranges and ratios; pure."""
from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

REFERENCES = ("nginx", "haproxy")       # those that ratios are told to


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a row: `key` in the samples, and how it is shown."""

    key: str
    title: str
    digits: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one peer; a sample with something `wrong` counts in no median."""

    row: str
    peer: str
    round: int
    figures: Mapping[str, float] = field(default_factory=dict)
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the rounds of one peer say of one figure."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        return cls(statistics.median(values), min(values), max(values))


def summaries(samples: Iterable[Sample], key: str) -> dict[str, Summary]:
    """Of each peer that has valid samples of this figure, in the order in which they come."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        if not sample.wrong and key in sample.figures:
            values.setdefault(sample.peer, []).append(sample.figures[key])
    return {peer: Summary.of(each) for peer, each in values.items()}


def ratios(by_peer: Mapping[str, Summary], references: Sequence[str] = REFERENCES) -> dict[str, dict[str, float]]:
    """Each peer's median as a multiple of each reference's; what cannot be told is left out."""
    return {peer: {reference: summary.median / by_peer[reference].median for reference in references
                   if reference in by_peer and by_peer[reference].median > 0}
            for peer, summary in by_peer.items()}


def differences(by_peer: Mapping[str, Summary], references: Sequence[str]) -> dict[str, dict[str, float]]:
    """What each median has more than each reference's."""
    return {peer: {reference: summary.median - by_peer[reference].median for reference in references
                   if reference in by_peer} for peer, summary in by_peer.items()}


def in_turn(names: Sequence[str], round: int) -> list[str]:
    """The order of one round: each begins with another, and every second one goes backwards."""
    if not names:
        return []
    start = round // 2 % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if round % 2 else turned


def table(title: str, columns: Sequence[Column], samples: Sequence[Sample], peers: Sequence[str],
          references: Sequence[str] = REFERENCES, by_difference: bool = False) -> str:
    """One row of the bench as a table in Markdown; the first column is the one that is compared."""
    first, sign = columns[0], "+" if by_difference else ""
    by_peer = summaries(samples, first.key)
    compared = (differences if by_difference else ratios)(by_peer, references)
    told = [each for each in references if each in by_peer]
    lines = [["", first.title, "range", *(f"{'-' if by_difference else '/'} {each}" for each in told),
              *(each.title for each in columns[1:])]]
    for peer in peers:
        mine = [each for each in samples if each.peer == peer]
        if not mine:
            continue
        if peer not in by_peer:
            lines.append([peer, "invalid", *[""] * (1 + len(told) + len(columns) - 1)])
            continue
        main = by_peer[peer]
        line = [peer, f"{main.median:.{first.digits}f}", f"{main.least:.{first.digits}f}-{main.most:.{first.digits}f}"]
        line += [f"{compared[peer][each]:{sign}.2f}" if each in compared[peer] else "" for each in told]
        for column in columns[1:]:
            others = summaries(mine, column.key)
            line.append(f"{others[peer].median:.{column.digits}f}" if peer in others else "")
        lines.append(line)
    notes = [f"- {each.peer}, round {each.round + 1}, is invalid: {each.wrong}" for each in samples if each.wrong]
    return "\n".join([f"**{title}**", "", *_aligned(lines), *(["", *notes] if notes else [])])


def overview(rows: Sequence[tuple[str, Column]], samples: Sequence[Sample], peers: Sequence[str]) -> str:
    """The medians of all rows, one line each, with ours as multiples of the references'."""
    told = [each for each in REFERENCES if each in peers] if "us" in peers else []
    lines = [["", "in", *peers, *(f"us / {each}" for each in told)]]
    for name, column in rows:
        by_peer = summaries([each for each in samples if each.row == name], column.key)
        ours = ratios(by_peer).get("us", {})
        lines.append([name, column.title,
                      *(f"{by_peer[peer].median:.{column.digits}f}" if peer in by_peer else "" for peer in peers),
                      *(f"{ours[each]:.2f}" if each in ours else "" for each in told)])
    return "\n".join(_aligned(lines))


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    shown = ["| " + " | ".join(cell.ljust(width) if n == 0 else cell.rjust(width)
                               for n, (cell, width) in enumerate(zip(line, widths, strict=True))) + " |"
             for line in lines]
    rule = "| " + " | ".join("-" * width if n == 0 else "-" * (width - 1) + ":"
                             for n, width in enumerate(widths)) + " |"
    return [shown[0], rule, *shown[1:]]
