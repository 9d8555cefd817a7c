"""A journal against a model of what it promised, through any history of faults and restarts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from understudy.supervision.files import Files
from understudy.supervision.journal import Journal, Journals, verify_journal
from understudy.supervision.testing.files import FaultyFiles
from understudy.supervision.testing.journals import (
    SmallSettings,
    append,
    make_line,
    open_journals,
    read,
    read_snapshot,
)

Step = tuple[str, int]

APPEND = st.tuples(st.just("append"), st.integers(1, 12))
OTHERS = st.one_of(
    st.tuples(st.just("snapshot"), st.just(0)),
    st.tuples(st.sampled_from(["write", "fdatasync", "make", "sync_folder", "replace"]), st.integers(0, 2)),
    st.tuples(st.just("full"), st.integers(0, 600)),
    st.tuples(st.just("reopen"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("power failure"), st.integers(0, 1 << 16)),
)


@dataclass
class Model:
    """What was promised: `durable` is there; of `unknown` a prefix at most, and nothing after a reopening."""

    durable: list[bytes] = field(default_factory=list[bytes])
    unknown: list[bytes] = field(default_factory=list[bytes])
    attempts: int = 0

    def new_lines(self, count: int) -> list[bytes]:
        """Lines that are like no others before."""
        self.attempts += 1
        first = len(self.durable) + 1
        text = f"attempt {self.attempts}"
        return [make_line(seq, mark=first - 1, text=text) for seq in range(first, first + count)]

    def found(self, lines: list[bytes]) -> None:
        """A start has read `lines`."""
        known = len(self.durable)
        assert lines[:known] == self.durable
        assert lines[known:] == self.unknown[: len(lines) - known]
        self.durable, self.unknown = lines, []


class Life:
    """One home with one journal, and its model."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = FaultyFiles(root)
        self.model = Model()

    async def run(self, steps: list[Step]) -> None:
        """All steps, in as many system lives as they need; then one more start without faults."""
        waiting = [*steps, ("restart", 0)]
        while waiting:
            async with open_journals(self.root / "journals", self.files, SmallSettings(900)) as journals:
                journal = self.start(journals)
                name, number = "", 0
                while waiting and name not in ("restart", "power failure"):
                    name, number = waiting.pop(0)
                    await self.take(journal, name, number)
            if name == "power failure":
                self.files.power_failure(Random(number))
        self.files.heal()
        async with open_journals(self.root / "journals", self.files) as journals:
            self.start(journals)
        report = verify_journal(Files(), self.root / "journals" / "a")
        assert report.whole, report.damage
        assert report.last_seq == len(self.model.durable)

    def start(self, journals: Journals) -> Journal:
        """Read everything; the first attempts may meet a fault that waits."""
        while True:
            journal = journals.open("a")
            try:
                snapshot, lines = read_snapshot(journal), read(journal)
            except OSError:
                self.files.heal()
                continue
            self.model.found([*self.model.durable[: snapshot.seq if snapshot else 0], *lines])
            assert journal.watermark == len(self.model.durable)
            return journal

    async def take(self, journal: Journal, name: str, number: int) -> None:
        """One step."""
        if name == "append" and journal.problem is None:
            lines = self.model.new_lines(number)
            try:
                await append(journal, lines, len(self.model.durable) + number)
                self.model.durable += lines
            except OSError:
                self.model.unknown = lines
            assert journal.watermark == len(self.model.durable)
        elif name == "snapshot" and journal.problem is None and self.model.durable:
            journal.publish_snapshot(len(self.model.durable), b"{}")
        elif name == "reopen":
            try:
                await journal.reopen()
                self.model.unknown = []
            except OSError:
                self.files.heal()
        elif name == "full":
            self.files.space_bytes = number
        elif name in ("write", "fdatasync", "make", "sync_folder", "replace"):
            self.files.fail(name, after=number)


@pytest.mark.req("JR-2", "JR-3", "JR-8")
@pytest.mark.rule("J1", "J2", "J4", "J5", "J6")
@settings(max_examples=80)
@example([("append", 1), ("fdatasync", 0), ("append", 2), ("restart", 0), ("power failure", 1)])
@example([("append", 9), ("full", 300), ("append", 9), ("restart", 0), ("append", 1), ("power failure", 1)])
@given(st.lists(st.one_of(APPEND, APPEND, OTHERS), max_size=25))
def test_journal_keeps_its_promises_through_any_history(steps: list[Step]) -> None:
    """What was told as durable is there, in order; what was not is there as a prefix, or void for good."""
    with tempfile.TemporaryDirectory() as folder:
        trio.run(Life(Path(folder)).run, steps)
