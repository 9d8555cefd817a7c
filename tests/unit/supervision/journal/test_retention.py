"""JR-5, rules J6 and J7: what is kept of a journal, what goes, and who is asked before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from pydantic import BaseModel, Field

from understudy import (
    ActorSystem,
    Event,
    JournalDamaged,
    Message,
    PersistentActor,
    RecordNotUnderstood,
    SeqNotKept,
    Settings,
)
from understudy.protocols.lifecycle import JournalTrimmed
from understudy.supervision.files import Files
from understudy.supervision.journal import JournalReader, verify_journal
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.time_travel import kept_seqs, replay_state

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-5"), pytest.mark.rule("J6", "J7")]

NOTHING = Settings(keep_bytes=0, segment_bytes=4096)


class Add(Message[int]):
    number: int
    compact: bool = False


class Added(Event):
    number: int
    text: str = "x" * 400


class Sum(BaseModel):
    total: int = 0


class Adder(PersistentActor[Sum]):
    def add(self, message: Add) -> int:
        self.emit(Added(number=message.number))
        if message.compact:
            self.compact()
        return self.state.total

    def added(self, event: Added) -> None:
        self.state.total += event.number


async def add(system: ActorSystem, numbers: range, every: int) -> None:
    """Add, compacting with each number that `every` divides, and wait until that is done."""
    for number in numbers:
        compact = number % every == 0
        await system.get("adder").ask_async(Add(number=number, compact=compact))
        if compact:
            await jobs_done(system)


async def jobs_done(system: ActorSystem) -> None:
    """Wait until the writer has done what was queued, and has told the loop."""
    journals: Any = system.journals
    done = trio.Event()
    journals._writer.run(lambda: journals._post(done.set))
    with trio.fail_after(5):
        await done.wait()


def kept(folder: Path) -> tuple[list[int], list[int]]:
    """The first seqs of the segments, and the seqs of the snapshots."""
    return (
        sorted(int(path.name[:16]) for path in folder.glob("*.jsonl")),
        sorted(int(path.name[9:25]) for path in folder.glob("snapshot-*.json")),
    )


async def test_old_segments_go_at_a_snapshot_and_everybody_is_told(tmp_path: Path) -> None:
    """What lies before the older snapshot goes; the state, its past that is kept, and `verify` are right."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=Settings(keep_bytes=0)) as system:
        await system.spawn(Adder, name="adder")
        told: list[JournalTrimmed] = []
        system.subscribe(lambda event: told.append(event) if isinstance(event, JournalTrimmed) else None)
        await add(system, range(1, 36), every=10)
        assert kept(folder) == ([21, 31], [20, 30])
        assert [(event.actor, event.first_seq) for event in told] == [("adder", 11), ("adder", 21)]
        assert (await system.state_at("adder", 20)).model_dump() == {"total": 210}
        assert (await system.state_at("adder", 35)).model_dump() == {"total": 630}
        with pytest.raises(SeqNotKept, match="from 20 to 35, which are kept, got 19"):
            await system.state_at("adder", 19)
    report = verify_journal(Files(), folder)
    assert (report.whole, report.first_seq, report.last_seq, report.trimmed_to) == (True, 21, 35, 20)
    assert next(JournalReader(Files(), folder).read()).first_seq == 21
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        assert await system.get("adder").ask_async(Add(number=36)) == 666


@pytest.mark.rule("J4")
@pytest.mark.parametrize("covered", [True, False])
async def test_a_first_segment_deleted_by_hand_is_damage_unless_a_snapshot_stands_for_it(
    tmp_path: Path, *, covered: bool
) -> None:
    """It is told from a removed one by what matters: whether any of the state went with it."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=Settings(segment_bytes=4096)) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 31), every=20)
    first, second = kept(folder)[0][:2]
    min(folder.glob("*.jsonl")).unlink()
    if not covered:
        (snapshot,) = folder.glob("snapshot-*.json")
        snapshot.unlink()
    report = verify_journal(Files(), folder)
    assert (report.whole, report.trimmed_to) == (covered, second - first if covered else 0)
    async with ActorSystem(tmp_path) as system:
        if covered:
            await system.spawn(Adder, name="adder")
            assert await system.get("adder").ask_async(Add(number=31)) == sum(range(32))
        else:
            with pytest.raises(JournalDamaged, match=f"expected seq 1, got no segment before seq {second}"):
                await system.spawn(Adder, name="adder")


async def test_defaults_keep_everything_of_an_ordinary_journal(tmp_path: Path) -> None:
    """A gibibyte and ninety days: nothing is removed, no segment is left early, all turns can be seen."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 36), every=10)
        assert (await system.state_at("adder", 3)).model_dump() == {"total": 6}
    assert kept(folder) == ([1], [20, 30])
    assert kept_seqs(Files(), folder)[:2] == (0, 35)


async def test_size_limit_keeps_what_fits_and_a_snapshot_to_begin_with(tmp_path: Path) -> None:
    """All kept lines can be travelled to, since the first kept segment's snapshot is kept too."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=Settings(keep_bytes=32_000, segment_bytes=4096)) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 101), every=5)
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert 20_000 < size < 36_000
        first = min(kept(folder)[0])
        assert first - 1 in kept(folder)[1]
        for seq in range(first - 1, 101):
            assert (await system.state_at("adder", seq)).model_dump() == {"total": seq * (seq + 1) // 2}


async def test_age_limit_goes_by_the_times_in_the_lines(tmp_path: Path) -> None:
    """A segment whose last line is older than the limit goes, one that is not stays."""
    folder, clock = tmp_path / "state" / "journals" / "adder", VirtualClock()
    settings = Settings(keep_age_s=100, segment_bytes=4096)
    async with ActorSystem(tmp_path, settings=settings, clock=clock) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 20), every=5)
        assert min(kept(folder)[0]) == 1
        clock.jump(99)
        await add(system, range(20, 26), every=5)
        assert min(kept(folder)[0]) == 1
        clock.jump(2)
        await add(system, range(26, 41), every=5)
        assert 1 < min(kept(folder)[0]) <= 20


async def test_lines_that_a_reader_has_not_read_stay(tmp_path: Path) -> None:
    """As far as the slowest of them; when it has read on, the next snapshot removes them."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        read = {"adder": 0}
        system.hold_journals("one", lambda _: 0)
        system.hold_journals("one", read.get)
        end = system.hold_journals("other", lambda _: 1000)
        await add(system, range(1, 41), every=10)
        assert min(kept(folder)[0]) == 1
        read["adder"] = 15
        await add(system, range(41, 51), every=10)
        assert min(kept(folder)[0]) <= 16
        assert min(kept(folder)[0]) > 1
        read.clear()
        end()
        await add(system, range(51, 61), every=10)
        assert min(kept(folder)[0]) == 51


async def test_damaged_snapshots_without_the_lines_before_them_block_with_a_clear_error(
    tmp_path: Path,
) -> None:
    """One stands in for the other; without both a part must not be taken for the whole."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 36), every=10)
    older, newest = sorted(folder.glob("snapshot-*.json"))
    newest.write_bytes(newest.read_bytes().replace(b"465", b"466"))
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        assert (await system.state_at("adder", 35)).model_dump() == {"total": 630}
    older.write_bytes(b"")
    assert not verify_journal(Files(), folder).whole
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        with pytest.raises(
            JournalDamaged, match=r"from seq 1 on that it stands for were removed, up to seq 20"
        ):
            await system.spawn(Adder, name="adder")
        assert [halt.actor for halt in system.status().blocked] == ["adder"]


class NewAdder(Adder):
    """A new version that can't take the old snapshots."""

    state_version = 2


async def test_state_of_another_version_without_its_lines_is_named(tmp_path: Path) -> None:
    """The program that wrote it still reads it; nothing was changed."""
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 36), every=10)
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        with pytest.raises(RecordNotUnderstood, match=r"state version 2 of NewAdder, got 1.*were removed"):
            await system.spawn(NewAdder, name="adder")
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(Adder, name="adder")
        assert await system.get("adder").ask_async(Add(number=0)) == 630


async def test_new_state_version_replays_and_trims_nothing_before_its_own_snapshots_are_there(
    tmp_path: Path,
) -> None:
    """Two snapshots of the new version must exist; the older version's do not count."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Adder, name="adder")
        await add(system, range(1, 36), every=10)
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(NewAdder, name="adder")
        await add(system, range(36, 41), every=10)
        assert min(kept(folder)[0]) == 1, "the older of two snapshots is version 1's"
        await add(system, range(41, 61), every=10)
        assert min(kept(folder)[0]) > 1
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(NewAdder, name="adder")
        assert await system.get("adder").ask_async(Add(number=0)) == 60 * 61 // 2


class Small(BaseModel):
    """Holds more than it takes: no snapshot of it can be read."""

    total: int = Field(lt=10, default=0)


class SmallAdder(PersistentActor[Small]):
    def add(self, message: Add) -> int:
        self.emit(Added(number=message.number))
        self.compact()
        return self.state.total

    def added(self, event: Added) -> None:
        self.state.total += event.number


async def test_nothing_is_removed_for_snapshots_that_the_class_can_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The lines are all there is then, and the log says so."""
    folder = tmp_path / "state" / "journals" / "adder"
    async with ActorSystem(tmp_path, settings=NOTHING) as system:
        await system.spawn(SmallAdder, name="adder")
        await add(system, range(10, 31), every=1)
        assert min(kept(folder)[0]) == 1
    assert "the actor's class can't read it: no lines are removed for it" in caplog.text
    assert replay_state(SmallAdder, Files(), folder, 21).total == sum(range(10, 31))
