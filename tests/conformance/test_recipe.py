"""The recipe of CONTRIBUTING.md for adding an actor: its example runs, and the cast was made by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import understudy
from understudy.actors.registry import CAST, Role
from understudy.supervision.persistent import PersistentActor

ROOT = Path(__file__).parents[2]
PROTOCOL = """
from pydantic import BaseModel
from understudy import Event, Message, PersistentActor, Refused

class Raise(Message[int]):
    by: int
"""


def example() -> dict[str, Any]:
    """What the recipe's example defines, with the imports and the command that it leaves out."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {"__name__": __name__}
    source = PROTOCOL + "\n".join(line.removeprefix("   ") for line in found[1].splitlines())
    exec(compile(source, "CONTRIBUTING.md", "exec", dont_inherit=True), names)  # noqa: S102 - our own document
    return names


async def test_the_recipes_example_counts_refuses_and_remembers(tmp_path: Path) -> None:
    """With what the recipe promises to come by itself: recovery."""
    names = example()
    counter, raise_it = names["CounterActor"], names["Raise"]

    async with understudy.ActorSystem(tmp_path) as system:
        reference = await system.spawn(counter, name="counter")
        assert await reference.ask_async(raise_it(by=2), timeout_s=5) == 2
        with pytest.raises(understudy.Refused, match="expected a positive step, got 0"):
            await reference.ask_async(raise_it(by=0), timeout_s=5)
    async with understudy.ActorSystem(tmp_path) as system:
        reference = await system.spawn(counter, name="counter")
        assert await reference.ask_async(raise_it(by=3), timeout_s=5) == 5


@pytest.mark.parametrize("role", CAST, ids=lambda role: role.name)
def test_each_role_of_the_cast_has_its_line_and_its_tests(role: Role) -> None:
    """One line in the registry, one class that says what it does, at least one test file."""
    assert issubclass(role.actor, PersistentActor)
    assert role.about
    assert (role.actor.__doc__ or "").strip()
    tests = (ROOT / "tests" / "unit" / "actors").rglob("test_*.py")
    assert any(role.actor.__name__ in file.read_text() for file in tests)


def test_no_two_roles_share_a_name() -> None:
    """The name is that of the journal."""
    assert len({role.name for role in CAST}) == len(CAST)
