"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("protocols", "supervision", "actors", "webui")
FIRST_PARTY = (*ROOMS, "understudy/cli", "understudy/__init__.py", "tests", "tools", "docs")
PEERS = ROOT / "tests" / "benchmarks"

pytestmark = pytest.mark.req("NF-5")


def modules() -> Iterator[Path]:
    """Every first-party Python file, by its real path."""
    for part in FIRST_PARTY:
        path = ROOT / part
        yield from [path] if path.is_file() else path.rglob("*.py")


def imported(module: Path) -> Iterator[str]:
    """The top-level names that a module imports."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_nothing_of_ours_imports_sqlite3() -> None:
    """The benchmarks excepted: there it is a peer to compare with."""
    offenders = [
        str(module)
        for module in modules()
        if PEERS not in module.parents and {"sqlite3", "sqlite_utils", "aiosqlite"} & set(imported(module))
    ]

    assert offenders == []


def test_rooms_are_imported_under_the_package_only() -> None:
    """In a checkout `import supervision` would work too, and make every class a second time."""
    assert [str(module) for module in modules() if set(ROOMS) & set(imported(module))] == []


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_a_relative_link_in_the_package(room: str) -> None:
    """A clone anywhere has to work."""
    assert (ROOT / "understudy" / room).readlink() == Path("..") / room


def test_the_type_checker_is_told_of_each_room_by_name() -> None:
    """It does not follow links by itself."""
    named = project()["tool"]["pyright"]["include"]

    assert {f"understudy/{room}" for room in ROOMS} <= set(named)


@pytest.mark.parametrize("package", ["pykka", "pydantic", "jsonlines", "trio", "httpx", "croniter"])
def test_each_package_of_the_card_is_used(package: str) -> None:
    """Declared with a range, and imported by the product itself."""
    users = [module for room in (*ROOMS, "understudy/cli") for module in (ROOT / room).rglob("*.py")]

    assert any(package in set(imported(module)) for module in users)
    assert any(line.startswith(f"{package}>=") for line in project()["project"]["dependencies"])
