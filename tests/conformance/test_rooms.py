"""The bound of coverage holds for each room by itself, for lines and for branches (NF-3)."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from tests.mutants.table import ROOT

FULL = {"num_statements": 100, "covered_lines": 90, "num_branches": 50, "covered_branches": 45}
FILES = {
    "protocols": "protocols/base.py",
    "supervision": "understudy/supervision/actor.py",
    "actors": "actors/cast.py",
    "webui": "webui/app.py",
    "understudy": "understudy/cli/app.py",
}


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/rooms.py, looking from the top of the checkout."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "tools" / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(**changed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What coverage counted, with some rooms' numbers changed."""
    return {file: {**FULL, **changed.get(room, {})} for room, file in FILES.items()}


@pytest.mark.req("NF-3")
def test_rooms_that_are_covered_well_enough_pass(rooms: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """90 % of each; a file behind a link counts for the room that it leads to."""
    monkeypatch.setattr(rooms, "summaries", found)
    assert rooms.main() == 0
    assert rooms.room_of("understudy/supervision/actor.py") == "supervision"


@pytest.mark.req("NF-3")
@pytest.mark.parametrize(
    "lacking", [{"covered_lines": 79}, {"covered_branches": 39}, {"num_statements": 0, "covered_lines": 0}]
)
@pytest.mark.parametrize("room", FILES)
def test_one_room_below_the_bound_fails_the_run(
    rooms: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    room: str,
    lacking: dict[str, int],
) -> None:
    """In lines, in branches, or since nothing of it was measured; the others do not make up for it."""
    monkeypatch.setattr(rooms, "summaries", lambda: found(**{room: lacking}))
    assert rooms.main() == 1
    assert f"got less in ['{room}']" in capsys.readouterr().out
