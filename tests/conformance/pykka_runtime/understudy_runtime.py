"""A pytest plugin for pykka's own suite: adds Understudy's actors as its second runtime.

Loaded inside the unpacked suite (`-p understudy_runtime`), where `tests` is pykka's package, not ours.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pykka
import pytest

import understudy

_suite: Any = importlib.import_module("tests.conftest")
_types: Any = importlib.import_module("tests.types")

_OURS: Any = _types.Runtime(
    name="understudy",
    actor_class=understudy.Actor,
    event_class=threading.Event,
    future_class=understudy.Future,
    sleep_func=time.sleep,
)
_ALL = [*_suite.RUNTIMES.values(), pytest.param(_OURS, id="understudy")]


def _runtime(request: pytest.FixtureRequest) -> object:
    """The suite's own fixture, over one runtime more."""
    return cast("object", request.param)


# pytest has not read the suite's conftest yet: it finds the module as it is left here.
_suite.runtime = pytest.fixture(scope="session", params=_ALL, name="runtime")(_runtime)

_NOT_APPLICABLE: dict[str, str] = json.loads(os.environ["NOT_APPLICABLE"])
_system = ExitStack()


def pytest_sessionstart() -> None:
    """The system in which `Actor.start()` of this thread starts its actors."""
    _system.enter_context(understudy.ActorSystem.in_thread(None))


def pytest_sessionfinish() -> None:
    """Stop what a failed test left, then the system."""
    pykka.ActorRegistry.stop_all(timeout=5)
    _system.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot apply; write down how many tests each runtime has.

    Raises:
        pytest.UsageError: when a test that is to be left out does not exist.
    """
    out = [item for item in items if item.nodeid in _NOT_APPLICABLE]
    if strangers := _NOT_APPLICABLE.keys() - {item.nodeid for item in out}:
        raise pytest.UsageError(f"no such tests in pykka's suite: {sorted(strangers)}")
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item.nodeid not in _NOT_APPLICABLE]
    Path(os.environ["COLLECTED"]).write_text("\n".join(item.nodeid for item in items))
