"""What the files of a home say, read with nothing but `json`: a replay that shares no code with ours."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETSID = (
    f"{shlex.quote(sys.executable)} -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"
)
_ENDINGS = {"TaskFinished", "TaskRequeued", "TaskRetried"}


@dataclass
class Facts:
    """What the journals of the pool and the manager add up to.

    Attributes:
        statuses: of each task; `pending` and `running` too.
        attempts: of each task, how many were started.
        requeued: how often an attempt was given up because the runtime went down under it.
        inputs: of each input, its text.
        replies: of each input, how many final replies it has.
    """

    statuses: dict[str, str] = field(default_factory=dict[str, str])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    requeued: int = 0
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    replies: Counter[str] = field(default_factory=Counter[str])

    @property
    def running(self) -> int:
        """Tasks of which an attempt is under way."""
        return sum(status == "running" for status in self.statuses.values())

    @property
    def pending(self) -> int:
        """Tasks that wait for their turn."""
        return sum(status == "pending" for status in self.statuses.values())

    @property
    def unanswered(self) -> int:
        """Inputs without their final reply."""
        return sum(self.replies[name] == 0 for name in self.inputs)


def read_facts(home: Path) -> Facts:
    """Add up the journals of a home that nobody writes to; the last line may be torn."""
    facts = Facts()
    for kind, data in events(home, "workers"):
        _add_task_event(facts, kind, data)
    for kind, data in events(home, "manager"):
        if kind == "InputReceived":
            facts.inputs[data["input"]["id"]] = data["input"]["text"]
        elif kind in {"RunSucceeded", "RunGivenUp"}:
            for message in data["messages"]:
                facts.replies.update(message.get("in_reply_to", ()))
    return facts


def _add_task_event(facts: Facts, kind: str, data: Mapping[str, Any]) -> None:
    if kind == "TaskCreated":
        facts.statuses[data["id"]] = "pending"
        facts.attempts[data["id"]] = 0
    elif kind == "TaskStarted":
        facts.statuses[data["id"]] = "running"
        facts.attempts[data["id"]] = data["attempt"]
    elif kind in _ENDINGS:
        facts.statuses[data["id"]] = data.get("status", "pending")
        facts.requeued += kind == "TaskRequeued"


def events(home: Path, actor: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The events of one actor in order: type and data.

    A segment makes the lines of the segments before it (in order of epoch and first seq) void from
    its own first seq on.
    """
    lines: dict[int, Mapping[str, Any]] = {}
    folder = home / "state" / "journals" / actor
    for segment in sorted(folder.glob("*.jsonl"), key=_epoch_and_first):
        first = _epoch_and_first(segment)[1]
        lines = {seq: line for seq, line in lines.items() if seq < first}
        for raw in segment.read_bytes().split(b"\n")[:-1]:  # what has no newline is torn
            line = json.loads(raw)
            lines[line["seq"]] = line
    for _, line in sorted(lines.items()):
        for event in line["events"]:
            yield event["type"], event["data"]


def _epoch_and_first(segment: Path) -> tuple[int, int]:
    first, _, epoch = segment.stem.partition("-")
    return int(epoch), int(first)


@dataclass
class Effects:
    """What the commands did outside: lines `start LABEL ATTEMPT` and `end LABEL ATTEMPT` of one file."""

    file: Path
    lines: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    _offset: int = 0

    def look(self) -> None:
        """Read what was appended since the last look."""
        if not self.file.exists():
            return
        with self.file.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.decode().splitlines():
            step, label, attempt = line.split()
            self.lines.append((step, label, attempt))

    def of(self, step: str) -> list[tuple[str, str]]:
        """Label and attempt of all lines of one step."""
        return [(label, attempt) for known, label, attempt in self.lines if known == step]

    def command(self, label: str, duration_s: float) -> str:
        """A shell command that leaves these lines."""
        return f": {label}; {self._steps(label, duration_s)}; echo did {label}"

    def command_of_strays(self, label: str, duration_s: float) -> str:
        """The same, done by a process that left the group; another one stays behind for long."""
        left = f"{SETSID} sleep 600 >/dev/null 2>&1 &"
        return f": {label}; {SETSID} sh -c '{self._steps(label, duration_s)}'; {left} echo did {label}"

    def _steps(self, label: str, duration_s: float) -> str:
        line = f'{label} $UNDERSTUDY_ATTEMPT >> "{self.file}"'
        return f"echo start {line}; sleep {duration_s:.2f}; echo end {line}"
