"""The whole cast over hours of virtual time, on a disk and a clock that fail it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from understudy.actors.cron import CronActor, times
from understudy.actors.notifier.sinks.callback import Callback
from understudy.actors.projection import follower
from understudy.actors.testing.world import CastWorld
from understudy.supervision.testing.files import MemoryFiles
from understudy.supervision.testing.simulate import main
from understudy.supervision.testing.simulation import Simulation, Tally
from understudy.supervision.turns import PersistentCell

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from understudy.actors.projection.fold import Folded
    from understudy.actors.projection.model import ReadModel
    from understudy.protocols.notifications import Delivery
    from understudy.protocols.read_model import Cursor


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A failing disk is logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


EVES = {
    "Europe/Zurich, spring": datetime(2026, 3, 29, 0, tzinfo=UTC),
    "America/New_York, autumn": datetime(2026, 11, 1, 5, tzinfo=UTC),
    "Australia/Lord_Howe, autumn": datetime(2026, 4, 4, 14, tzinfo=UTC),
}
"""An hour before the clocks of zones change."""


def simulate(
    seed: int, hours: float, files: type[MemoryFiles] = MemoryFiles, begins: datetime | None = None
) -> tuple[Tally, MemoryFiles]:
    """One run of the cast."""
    epoch_s = None if begins is None else begins.timestamp()
    simulation = Simulation(CastWorld, seed=seed, hours=hours, files=files, epoch_s=epoch_s)
    return simulation.run(), simulation.disk


def finds(match: str | None, seeds: range, hours: float = 2.0) -> pytest.ExceptionInfo[BaseException]:
    """That a seed of these finds something, which says so."""

    def look() -> None:
        for seed in seeds:
            simulate(seed, hours)

    with pytest.raises((AssertionError, ExceptionGroup), match=match) as caught:
        look()
    assert any(note.startswith("seed ") for note in caught.value.__notes__)
    return caught


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_cast_keeps_its_promises_through_hours_of_faults(seed: int) -> None:
    """Whatever the seed does: every input one reply, every task one end, every firing once."""
    story, disk = simulate(seed, 2.0)
    assert story.turns > 100
    assert (story.happened["trims"] > 5) == (seed != 2), "some seeds have journals that are trimmed"
    outputs = [operation for operation in disk.operations if operation.path.parent.name == "output"]
    assert outputs, "what commands wrote is on the same disk as everything else"
    assert story.happened.total() > 10, "faults struck"


def test_a_seed_gives_the_same_journals_again() -> None:
    """To the byte: what a seed has found, it finds again."""
    (first, left), (second, right) = simulate(11, 1.0), simulate(11, 1.0)
    assert str(first) == str(second)
    assert left.everything() == right.everything()
    assert left.everything() != simulate(12, 1.0)[1].everything()


class NeverSynced(MemoryFiles):
    """A disk on which nobody waits for an fdatasync."""

    def fdatasync(self, fd: int) -> None:
        """Nothing."""


@pytest.mark.rule("J1")
def test_the_simulation_finds_a_journal_that_answers_before_it_syncs() -> None:
    """A check that can't fail proves nothing: the first seed finds it, and says so."""
    with pytest.raises(Exception, match=r"lost|damaged|expected|unhandled") as caught:
        simulate(1, 2.0, NeverSynced)
    assert "seed 1, 2.0 hours" in caught.value.__notes__[-1]


@pytest.mark.parametrize("begins", EVES.values(), ids=EVES.keys())
def test_schedules_keep_their_times_when_the_clock_of_a_zone_changes(begins: datetime) -> None:
    """Each minute's calendar and cron's arithmetic agree, with faults in between."""
    assert simulate(21, 1.5, begins=begins)[0].turns > 100


@pytest.mark.rule("P1")
def test_the_simulation_finds_a_read_model_that_missed_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that passes over a line now and then has other rows than the journals make."""
    whole = follower.fold_line

    def fold_most(model: ReadModel, cursor: Cursor, line: bytes) -> Folded:
        return whole(model, cursor, line if cursor.seq % 50 else b'{"seq":0,"ts":0,"events":[]}')

    monkeypatch.setattr(follower, "fold_line", fold_most)
    finds("expected the read model that the journals make", range(1, 3))


@pytest.mark.req("NT-2")
def test_the_simulation_finds_a_delivery_that_nobody_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that says it was taken before it is."""

    async def forget(_: object, delivery: Delivery) -> None:
        assert delivery.id

    monkeypatch.setattr(Callback, "deliver", forget)
    finds("counts as made, and nobody has taken it", range(1, 3))


@pytest.mark.rule("C2")
def test_the_simulation_finds_a_time_that_was_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cron that takes the next but one time for the next."""
    whole = times.next_due

    def next_but_one(expression: str, zone: ZoneInfo, after: float) -> float:
        return whole(expression, zone, whole(expression, zone, after))

    monkeypatch.setattr(times, "next_due", next_but_one)
    finds("comes next", range(1, 4))


@pytest.mark.rule("C2")
def test_the_simulation_finds_a_firing_that_does_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cron whose timer never rings: what was due is found open."""

    def never(_: CronActor) -> None:
        """No timer."""

    monkeypatch.setattr(CronActor, "_arm", never)
    finds("neither fired nor was recorded as missed", range(1, 4))


def take_everything(*_: object) -> bool:
    """What a receiver without the check of numbers does."""
    return True


@pytest.mark.rule("D1")
def test_the_simulation_finds_a_receiver_that_takes_what_it_has_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the check of numbers a message that is sent again counts twice."""
    monkeypatch.setattr(PersistentCell, "_continues", take_everything)
    finds(None, range(1, 6))


def test_the_command_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each seed."""
    assert main(["--seed", "5", "--hours", "0.2"]) == 0
    assert capsys.readouterr().out.startswith("seed 5, 0.2 hours: ")


class Broken(CastWorld):
    """A world in which something is always wrong."""

    def check(self, *_: object, **__: object) -> None:
        """Nothing holds."""
        msg = "expected the impossible"
        raise AssertionError(msg)


def test_the_command_says_how_to_come_back_to_what_a_seed_has_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The seed, the hours, and the world when it is another one."""
    assert main(["--seed", "7", "--hours", "1", "--world", f"{__name__}:Broken"]) == 1
    said = capsys.readouterr().err
    assert f"simulate --seed 7 --hours 1 --world {__name__}:Broken" in said
    assert "expected the impossible" in said
