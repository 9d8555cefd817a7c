"""The checks of `make test` that look at the source: each must be able to fail.

They ran empty once: pyright does not follow the links in understudy/ by itself and found nothing wrong in
nothing. So each is run here over a small house with the real configuration and one fault.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("protocols", "supervision", "actors", "webui")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty house: the five packages with their links, and this project's configuration."""
    (tmp_path / "understudy").mkdir()
    (tmp_path / "understudy" / "__init__.py").write_text('"""The front door."""\n\nname = 1\n')
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
        (tmp_path / "understudy" / room).symlink_to(f"../{room}")
    for folder in ("tests", "tools"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(house: Path, tool: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What `tool` says in that folder."""
    command = str(Path(sys.executable).with_name(tool))
    return subprocess.run(
        [command, *options],
        cwd=house,
        env={"PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_house_without_a_fault_passes(house: Path) -> None:
    """Otherwise the tests below would pass whatever the checks do."""
    assert run(house, "lint-imports", "--no-cache").returncode == 0
    assert run(house, "pyright").returncode == 0


@pytest.mark.parametrize(
    ("room", "upward"),
    [
        ("protocols", "from understudy import supervision"),
        ("protocols", "import trio"),
        ("supervision", "from understudy import actors"),
        ("supervision", "import fastapi"),
        ("actors", "import understudy.webui"),
        ("webui", "from understudy import name"),
        ("webui", "import sqlite3"),
    ],
)
def test_an_import_that_points_up_breaks_the_contract(house: Path, room: str, upward: str) -> None:
    """The rooms are links: import-linter must see through them."""
    (house / room / "fault.py").write_text(f"{upward}\n")

    verdict = run(house, "lint-imports", "--no-cache")

    assert verdict.returncode == 1
    assert f"understudy.{room}.fault ->" in verdict.stdout


@pytest.mark.parametrize("folder", [*ROOMS, "understudy", "tests", "tools"])
def test_a_type_error_is_found_in_every_folder(house: Path, folder: str) -> None:
    """In the rooms too, that stand in understudy/ as links only."""
    (house / folder / "fault.py").write_text('number: int = "a string"\n')

    verdict = run(house, "pyright")

    assert verdict.returncode == 1
    assert "1 error" in verdict.stdout
