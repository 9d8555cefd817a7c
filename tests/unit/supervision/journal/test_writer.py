"""The writer service: order, batches, open files, the end (rule J1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import jsonlines
import pytest
import trio

from understudy.supervision.files import Files
from understudy.supervision.journal import JournalReader, Journals, last_lines
from understudy.supervision.journal.pool import Pool
from understudy.supervision.testing.files import FaultyFiles, Operation
from understudy.supervision.testing.journals import (
    SmallSettings,
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    write_segment,
)


class CountingFiles(Files):
    """Counts descriptors that are open at once."""

    def __init__(self) -> None:
        self.open_now = 0
        self.most = 0
        self.gate = threading.Lock()

    def open(self, path: Path, flags: int) -> int:
        fd = super().open(path, flags)
        with self.gate:
            self.open_now += 1
            self.most = max(self.most, self.open_now)
        return fd

    def close(self, fd: int) -> None:
        with self.gate:
            self.open_now -= 1
        super().close(fd)


class Gate:
    """Holds the first fdatasync up until it is opened."""

    def __init__(self, files: FaultyFiles) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        files.on_operation = self.pass_through

    def pass_through(self, operation: Operation) -> None:
        """Called on the writer's thread."""
        if operation.name == "fdatasync" and not self.reached.is_set():
            self.reached.set()
            assert self.opened.wait(5)

    async def wait(self) -> None:
        """Until the writer stands at the gate."""
        assert await trio.to_thread.run_sync(self.reached.wait, 5)


@pytest.mark.req("JR-2")
@pytest.mark.rule("J1")
async def test_watermark_waits_for_the_sync_and_what_came_meanwhile_is_one_batch(tmp_path: Path) -> None:
    """Nothing is told while the fdatasync runs; then one call for the first, one for all others."""
    files = FaultyFiles(tmp_path)
    gate = Gate(files)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        told: list[int] = []
        journal.on_durable = told.append
        journal.append(make_line(1), 1)
        await gate.wait()
        assert (journal.watermark, told) == (0, [])
        for seq in range(2, 50):
            journal.append(make_line(seq), seq)
        gate.opened.set()
        with trio.fail_after(5):
            await journal.settled()
        assert told == [1, 49]
        assert read(journal, starting=False) == make_lines(1, 49)
    assert [step.name for step in files.operations].count("fdatasync") == 2


@pytest.mark.rule("J1")
async def test_batch_of_many_journals_is_told_with_one_post(tmp_path: Path) -> None:
    """However many journals it holds."""
    files = FaultyFiles(tmp_path)
    gate = Gate(files)
    posts: list[Callable[[], None]] = []
    journals = Journals(tmp_path, files, posts.append, SmallSettings(open_files=100, sync_threads=4))
    many = [journals.open(f"a{number}") for number in range(20)]
    many[0].append(make_line(1), 1)
    await gate.wait()
    for journal in many[1:]:
        journal.append(make_line(1), 1)
    gate.opened.set()
    assert await trio.to_thread.run_sync(journals.close, 5.0)
    assert len(posts) == 2
    for post in posts:
        post()
    assert [journal.watermark for journal in many] == [1] * 20


@pytest.mark.rule("J1")
async def test_open_files_are_bounded_and_every_journal_still_writes(tmp_path: Path) -> None:
    """Forty journals with eight descriptors: the least recently used one is closed."""
    files = CountingFiles()
    async with open_journals(tmp_path, files, SmallSettings(open_files=8)) as journals:
        many = [journals.open(f"a{number}") for number in range(40)]
        for seq in (1, 2):
            for journal in many:
                journal.append(make_line(seq), seq)
            for journal in many:
                await append(journal, [], seq)
        assert files.most <= 8
        assert [len(read(journal, starting=False)) for journal in many] == [2] * 40
    assert files.open_now == 0


@pytest.mark.req("RT-9")
@pytest.mark.rule("H3")
async def test_close_makes_durable_what_was_appended(tmp_path: Path) -> None:
    """Without waiting for a watermark."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        for seq in range(1, 101):
            journal.append(make_line(seq), seq)
    files.power_failure()
    async with open_journals(tmp_path, files) as journals:
        assert read(journals.open("a")) == make_lines(1, 100)


@pytest.mark.rule("H3")
async def test_close_gives_up_at_its_deadline_when_the_disk_hangs(tmp_path: Path) -> None:
    """A disk that never answers does not keep the system from ending."""
    files = FaultyFiles(tmp_path)
    gate = Gate(files)
    journals = Journals(tmp_path, files, lambda call: call(), SmallSettings())
    journals.open("a").append(make_line(1), 1)
    await gate.wait()
    assert not journals.close(0.01)
    gate.opened.set()
    assert await trio.to_thread.run_sync(journals.close, 5.0)


def test_pool_runs_every_call_once() -> None:
    """More calls than threads, fewer, and one after another."""
    pool = Pool(3)
    for count in (2, 3, 50):
        done: list[int] = []
        pool.run([partial(done.append, number) for number in range(count)])
        assert sorted(done) == list(range(count))
    pool.close()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\0b"])
async def test_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    """A journal's name can not leave its folder."""
    async with open_journals(tmp_path) as journals:
        with pytest.raises(ValueError, match="expected a name that can be a folder's"):
            journals.open(name)


@pytest.mark.req("JR-1")
async def test_journal_is_json_lines_for_everybody(tmp_path: Path) -> None:
    """The `jsonlines` package reads it without any of our code."""
    async with open_journals(tmp_path) as journals:
        await append(journals.open("a"), make_lines(1, 3), 3)
    with (tmp_path / "a" / "0000000000000001-0001.jsonl").open() as file:
        lines = [cast("dict[str, object]", line) for line in jsonlines.Reader(file)]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert lines[0]["events"] == [{"type": "Written", "v": 1, "data": {"text": "text"}}]


def read_on(reader: JournalReader) -> list[bytes]:
    """What is new."""
    return [line for chunk in reader.read() for line in chunk.lines]


@pytest.mark.rule("H2")
async def test_reader_without_a_lock_follows_across_segments(tmp_path: Path) -> None:
    """It sees each line once, leaves an unfinished one for later, and starts anywhere."""
    async with open_journals(tmp_path, settings=SmallSettings(segment_bytes=400)) as journals:
        journal = journals.open("a")
        reader = JournalReader(Files(), tmp_path / "a")
        assert read_on(reader) == []
        for seq in range(1, 9):
            await append(journal, [make_line(seq)], seq)
            assert read_on(reader) == [make_line(seq)]
        assert read_on(reader) == []
        assert read_on(JournalReader(Files(), tmp_path / "a", after_seq=5)) == make_lines(6, 8)
        assert last_lines(Files(), tmp_path / "a", 1) == [make_line(8)]
        assert last_lines(Files(), tmp_path / "a", 4) == make_lines(5, 8)
        assert last_lines(Files(), tmp_path / "a", 100) == make_lines(1, 8)
    assert last_lines(Files(), tmp_path / "b", 5) == []
    write_segment(tmp_path / "c", [*make_lines(1, 2), make_line(3)[:50]])
    reader = JournalReader(Files(), tmp_path / "c")
    assert read_on(reader) == make_lines(1, 2)
    write_segment(tmp_path / "c", make_lines(1, 3))
    assert read_on(reader) == [make_line(3)]
