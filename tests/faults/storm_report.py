"""What a storm reports: the kills with what they hit, figures, violations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

SHOWN = 40
"""Of so many violations; they are many when one thing is wrong."""


@dataclass(frozen=True)
class Kill:
    """What was in flight when the server was killed: on disk, and on the wire."""

    listening: bool
    running: int
    pending: int
    unanswered: int
    on_the_wire: int

    @property
    def hit(self) -> bool:
        """Whether work was cut: a command, an input without its reply, or an unanswered request."""
        return bool(self.running or self.unanswered or self.on_the_wire)


@dataclass
class Report:
    """What happened, and what should not have."""

    seed: int
    kills: list[Kill] = field(default_factory=list[Kill])
    violations: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])

    def text(self) -> str:
        """For people to read."""
        hits = sum(kill.hit for kill in self.kills)
        early = sum(not kill.listening for kill in self.kills)
        parts = [
            f"seed {self.seed}: {len(self.kills)} kills, {hits} hit work in flight, {early} during a start",
            *_histogram("commands running at the kill", (kill.running for kill in self.kills)),
            *_histogram("inputs without a reply", (kill.unanswered for kill in self.kills)),
            *_histogram("requests on the wire", (kill.on_the_wire for kill in self.kills)),
            *self.lines,
        ]
        parts += [f"VIOLATION: {violation}" for violation in self.violations[:SHOWN]]
        parts.append("violations: " + (str(len(self.violations)) if self.violations else "none"))
        return "\n".join(parts)


def _histogram(title: str, values: Iterable[int]) -> list[str]:
    counts = Counter(values)
    return [
        f"  {title}:",
        *(f"  {value:5d} | {'#' * counts[value]} {counts[value]}" for value in sorted(counts)),
    ]
