"""The file layers of the testing kit: one does what the other does, and both forget as a disk would."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from tests.unit.supervision.bank import Account, Deposit, Read
from understudy import ActorSystem, OutcomeUnknown
from understudy.supervision.files import APPEND, EDIT, LOCKFILE, MAKE, READ, REPLACE, Files
from understudy.supervision.journal import verify_journal
from understudy.supervision.testing.files import FaultyFiles, MemoryFiles, Operation, PowerLost

NAMES = ("a", "b", "c/a", "c/b", "c/d/a")
FOLDERS = ("", "c", "c/d")


class Twin:
    """The same calls to both layers; what they return or raise must be the same."""

    def __init__(self, folder: Path) -> None:
        self.real, self.memory = FaultyFiles(folder), MemoryFiles()
        self.memory.make_folders(folder)
        self.memory.adopt()
        self.memory.operations.clear()
        self.folder = folder
        self.fds: list[tuple[int, int]] = []

    def both(self, call: str, *arguments: object, fds: tuple[int, int] | None = None) -> object:
        """Call both, and compare; None when both raised the same."""
        results: list[object] = []
        for place, files in enumerate((self.real, self.memory)):
            first = () if fds is None else (fds[place],)
            try:
                results.append(getattr(files, call)(*first, *arguments))
            except OSError as error:
                results.append(type(error))
        if call == "open" and not any(isinstance(result, type) for result in results):
            real, memory = results
            assert isinstance(real, int)
            assert isinstance(memory, int)
            self.fds.append((real, memory))
            return None
        assert results[0] == results[1], (call, arguments)
        return results[0]

    def step(self, chance: Random) -> None:
        """One random call."""
        path, other = (self.folder / chance.choice(NAMES) for _ in range(2))
        folder = self.folder / chance.choice(FOLDERS)
        flags = chance.choice((READ, APPEND, MAKE, REPLACE, EDIT, LOCKFILE))
        data, number = chance.randbytes(chance.choice((1, 100, 1500))), chance.randrange(200)
        by_name: list[tuple[str, tuple[object, ...]]] = [
            ("mkdir", (folder,)),
            ("sync_folder", (folder,)),
            ("replace", (path, other)),
            ("link", (path, other)),
            ("unlink", (path,)),
        ]
        by_fd: list[tuple[str, tuple[object, ...]]] = [
            ("write", (data,)),
            ("write", (data,)),
            ("fdatasync", ()),
            ("truncate", (number,)),
            ("seek", (number,)),
            ("read", (50,)),
            ("size", ()),
        ]
        if chance.random() < 0.2 or not self.fds:
            self.both("open", path, flags)
        elif chance.random() < 0.5:
            call, arguments = chance.choice(by_name)
            self.both(call, *arguments)
        else:
            call, arguments = chance.choice(by_fd)
            self.both(call, *arguments, fds=chance.choice(self.fds))

    def compare(self) -> None:
        """Both hold the same files and folders."""
        for name in FOLDERS:
            self.both("listdir", self.folder / name)
            self.both("is_folder", self.folder / name)
        for name in NAMES:
            self.both("read_all", self.folder / name)


@pytest.mark.parametrize("seed", range(40))
def test_files_in_memory_do_what_real_files_do(tmp_path: Path, seed: int) -> None:
    """Two hundred random calls and a power failure after which nothing survives that was not synced."""
    chance, twin = Random(seed), Twin(tmp_path)
    for _ in range(200):
        twin.step(chance)
    twin.compare()
    for name in reversed(FOLDERS):
        twin.both("rmdir", tmp_path / name / "new")
    for fds in twin.fds:
        twin.both("close", fds=fds)
    twin.real.power_failure()
    twin.memory.power_failure()
    twin.compare()


def test_what_was_not_synced_is_gone_after_a_power_failure() -> None:
    """Bytes without an fdatasync, and a name without a sync of its folder."""
    files = MemoryFiles()
    files.write_new(Path("/named"), b"first")
    files.sync_folder(Path("/"))
    files.write_new(Path("/nameless"), b"synced, but for its name")
    fd = files.open(Path("/named"), APPEND)
    files.write_all(fd, b" and second")
    files.power_failure()
    assert files.everything() == {Path("/named"): b"first"}


def test_a_failed_sync_loses_what_it_was_to_write() -> None:
    """A later fdatasync succeeds without writing it, as on Linux."""
    files = MemoryFiles()
    fd = files.open(Path("/file"), MAKE)
    files.sync_folder(Path("/"))
    files.write_all(fd, b"lost")
    files.fail("fdatasync")
    with pytest.raises(OSError, match="Input/output"):
        files.fdatasync(fd)
    files.write_all(fd, b"kept")
    files.fdatasync(fd)
    files.power_failure()
    assert files.everything() == {Path("/file"): b"\0\0\0\0kept"}


@pytest.mark.parametrize(("path", "flags"), [("/home/lock", LOCKFILE), ("/home", READ)])
def test_what_is_locked_is_taken_until_its_descriptor_is_closed(path: str, flags: int) -> None:
    """As flock, of files and of folders: another descriptor of the same program is refused too."""
    files = MemoryFiles()
    files.make_folders(Path("/home"))
    first, second = (files.open(Path(path), flags) for _ in range(2))
    files.lock(first)
    with pytest.raises(BlockingIOError):
        files.lock(second)
    files.close(first)
    files.lock(second)


@pytest.mark.parametrize(("when", "left"), [("before", b"one"), ("during", b"onet"), ("after", b"onetwo")])
def test_the_power_goes_before_during_or_after_an_operation(when: str, left: bytes) -> None:
    """The second write of a segment, by its name; a write in the middle is torn."""
    files = MemoryFiles()
    path = Path("/journals/alice/0000000000000001-0001.jsonl")
    files.make_folders(path.parent)
    fd = files.open(path, MAKE)
    assert when in ("before", "during", "after")
    files.crash_at("alice: write of segment 1", nth=2, when=when)
    files.write_all(fd, b"one")
    with pytest.raises(PowerLost):
        files.write_all(fd, b"two")
    with pytest.raises(PowerLost):
        files.fdatasync(fd)
    files.restart()
    assert files.read_all(path) == left


def test_operations_say_what_they_are_about() -> None:
    """The journal and the segment, in words."""
    home = Path("/home/state")
    journal = home / "journals" / "alice"
    points = [
        Operation(number, name, path).point
        for number, (name, path) in enumerate(
            [
                ("fdatasync", journal / "0000000000000001-0001.jsonl"),
                ("write", journal / "0000000000000042-0003.jsonl"),
                ("make", journal / "0000000000000001-0001.jsonl.torn"),
                ("replace", journal / "journal.json"),
                ("sync_folder", journal),
                ("sync_folder", home / "journals"),
                ("write_at", home / "lock"),
            ]
        )
    ]
    assert points == [
        "alice: fdatasync of segment 1",
        "alice: write of segment 42 of epoch 3",
        "alice: make of segment 1.torn",
        "alice: replace of journal.json",
        "alice: sync_folder of its folder",
        "sync_folder of journals",
        "write_at of lock",
    ]


@pytest.mark.parametrize("operation", ["write", "fdatasync"])
async def test_the_next_append_of_one_actor_fails(operation: str) -> None:
    """The other one goes on; a resume brings the first one back."""
    files = MemoryFiles()
    async with ActorSystem("/home", files=files, inline=True) as system:
        for name in ("a", "b"):
            await (await system.spawn(Account, name=name)).ask_async(Deposit(cents=1))
        assert operation in ("write", "fdatasync")
        files.fail_next_append("a", operation=operation, error=errno.ENOSPC)
        await system.get("b").ask_async(Deposit(cents=1))
        with pytest.raises(OutcomeUnknown):
            await system.get("a").ask_async(Deposit(cents=1), key="once")
        await system.resume("a")
        await system.get("a").ask_async(Deposit(cents=1), key="once")
        assert (await system.get("a").ask_async(Read())).cents == 2


async def test_a_home_in_memory_touches_no_disk(tmp_path: Path) -> None:
    """It is there after a restart, and can be written out to be looked at."""
    files = MemoryFiles()
    home = tmp_path / "home"
    files.make_folders(tmp_path)
    for cents in (1, 2):
        async with ActorSystem(home, files=files, inline=True) as system:
            account = await system.spawn(Account, name="a")
            assert (await account.ask_async(Deposit(cents=1))).cents == cents
    assert Files().listdir(tmp_path) == []
    files.export(tmp_path / "copy")
    copy = tmp_path / "copy" / home.relative_to("/")
    report = verify_journal(Files(), copy / "state" / "journals" / "a")
    assert (report.whole, report.last_seq) == (True, 2)
