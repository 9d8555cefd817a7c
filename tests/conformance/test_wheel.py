"""The wheel, built from the sdist as an index would, holds all rooms and runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("protocols", "supervision", "actors", "webui")
PARTS = (*ROOMS, "understudy", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.req("NF-5")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves its folders in the source."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "node_modules", "frontend")
            shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / part, source)
    build = [sys.executable, "-m", "build", "--outdir", str(built), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(built.glob("*.whl"))


def sources_of(folder: Path) -> set[str]:
    """What of a room has to be in the wheel: its modules, and the page that it serves."""
    found = [path for path in folder.rglob("*") if path.suffix == ".py" or "static" in path.parts]
    return {str(path.relative_to(ROOT)) for path in found if path.is_file() and "frontend" not in path.parts}


@pytest.mark.parametrize("room", ROOMS)
def test_the_wheel_holds_every_module_and_page_of_a_room(wheel: Path, room: str) -> None:
    """The rooms are links in the source: some build tools lose them between sdist and wheel."""
    held = set(zipfile.ZipFile(wheel).namelist())

    assert {f"understudy/{file}" for file in sources_of(ROOT / room)} - held == set()


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    """No bare `supervision`, no tests: those names belong to others."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert tops == {"understudy", "understudy-0.1.0.dist-info"}
    assert "understudy/py.typed" in zipfile.ZipFile(wheel).namelist()


PROGRAM = """
import importlib, pathlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import understudy, understudy.protocols, understudy.supervision, understudy.actors, understudy.webui

def no_module(name):
    raise ImportError(name)

for module in pkgutil.walk_packages(understudy.__path__, "understudy.", onerror=no_module):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
strangers = [
    name for name, module in sys.modules.items()
    if name.startswith("understudy") and not module.__file__.startswith(sys.argv[1])
]
assert not strangers, strangers

class Ping(understudy.Message[int]):
    number: int

class Echo(understudy.Actor):
    def ping(self, message: Ping) -> int:
        return message.number

with understudy.ActorSystem.in_thread(None) as system:
    print(system.spawn(Echo, name="echo").ask(Ping(number=7), timeout=5))
"""


def test_every_module_of_the_wheel_can_be_imported_and_an_actor_answers(wheel: Path, tmp_path: Path) -> None:
    """Out of the unpacked wheel, apart from this checkout: `-I` ignores the folder and the environment."""
    zipfile.ZipFile(wheel).extractall(tmp_path)

    command = [sys.executable, "-I", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
