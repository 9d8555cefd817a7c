"""What the journals of a home say, read without any of the code that writes or recovers them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from understudy.supervision.testing.files import MemoryFiles


@dataclass
class Lines:
    """The turns of one journal that count, by number: as bytes, and as JSON."""

    raw: dict[int, bytes] = field(default_factory=dict[int, bytes])
    parsed: dict[int, Any] = field(default_factory=dict[int, Any])

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Type and data of all events, in order."""
        for line in self.parsed.values():
            for event in line["events"]:
                yield event["type"], event["data"]


def read_lines(files: MemoryFiles, home: Path) -> dict[str, Lines]:
    """The journals of a home, by name.

    A segment makes the lines of those before it (in order of epoch and first number) void from its own
    first number on. What has no newline is torn, and does not count.
    """
    folder = home / "state" / "journals"
    segments: dict[str, list[tuple[int, int, bytes]]] = {}
    for path, data in files.everything().items():
        if path.parent.parent == folder and path.suffix == ".jsonl":
            first, _, epoch = path.stem.partition("-")
            segments.setdefault(path.parent.name, []).append((int(epoch), int(first), data))
    return {name: _join(parts) for name, parts in sorted(segments.items())}


def _join(segments: list[tuple[int, int, bytes]]) -> Lines:
    raw: dict[int, bytes] = {}
    for _, first, data in sorted(segments):
        raw = {seq: line for seq, line in raw.items() if seq < first}
        for seq, line in enumerate(data.splitlines(keepends=True), first):
            if line.endswith(b"\n"):
                raw[seq] = line
    return Lines(raw, {seq: json.loads(line) for seq, line in raw.items()})
