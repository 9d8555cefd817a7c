"""The whole cast over hours of virtual time, on a disk and a clock that fail it."""

from __future__ import annotations

import pytest

from understudy.actors.testing.world import CastWorld
from understudy.supervision.testing.files import MemoryFiles
from understudy.supervision.testing.simulate import main
from understudy.supervision.testing.simulation import Simulation, Story
from understudy.supervision.turns import PersistentCell


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A failing disk is logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


def simulate(seed: int, hours: float, files: type[MemoryFiles] = MemoryFiles) -> tuple[Story, MemoryFiles]:
    """One run of the cast."""
    simulation = Simulation(CastWorld, seed=seed, hours=hours, files=files)
    return simulation.run(), simulation.disk


@pytest.mark.parametrize("seed", [2, 3, 4])  # in whose stories a command writes more than a record holds
def test_the_cast_keeps_its_promises_through_hours_of_faults(seed: int) -> None:
    """Whatever the seed does: every input one reply, every task one end, every firing once."""
    story, disk = simulate(seed, 2.0)
    assert story.turns > 100
    outputs = [path for path in disk.everything() if path.parent.name == "output"]
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


def take_everything(*_: object) -> bool:
    """What a receiver without the check of numbers does."""
    return True


@pytest.mark.rule("D1")
def test_the_simulation_finds_a_receiver_that_takes_what_it_has_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the check of numbers a message that is sent again counts twice."""

    def look() -> None:
        for seed in range(1, 6):
            simulate(seed, 2.0)

    monkeypatch.setattr(PersistentCell, "_continues", take_everything)
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        look()
    assert caught.value.__notes__[-1].startswith("seed ")


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
