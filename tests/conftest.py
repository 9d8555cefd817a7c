"""What all tests share: the check of requirement marks, and hypothesis without a clock."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

from tests import marks


class Worker(Protocol):
    """What is used here of a worker as pytest-xdist's controller sees it: the package has no types."""

    config: pytest.Config
    workerinput: dict[str, object]


NAMINGS = pytest.StashKey[list[marks.Naming]]()
FULL_RUN = "understudy_full_run"
ONLY_IN_FULL_RUN = "test_every_due_requirement_and_rule_is_named_by_a_test"

# Machines that run tests are shared and slow at times: time limits of single examples only make noise.
hypothesis.settings.register_profile("understudy", deadline=None)
hypothesis.settings.load_profile("understudy")


def pytest_configure() -> None:
    """Take SIGINT back when a shell started this run in its background, where it is ignored.

    The programs that tests start and interrupt would inherit that, and never end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Collect the marks before anything is deselected; refuse those that name no known id.

    Raises:
        pytest.UsageError: when a mark names an id that tests/requirements.toml does not hold.
    """
    namings = [
        marks.Naming(item.nodeid, mark, str(argument))
        for item in items
        for mark in marks.MARKS
        for found in item.iter_markers(mark)
        for argument in found.args
    ]
    if strangers := marks.unknown(namings, marks.read_tables(Path(__file__).with_name("requirements.toml"))):
        raise pytest.UsageError("\n".join(strangers))
    config.stash[NAMINGS] = namings
    if not _is_full_run(config):
        _deselect(config, items, ONLY_IN_FULL_RUN)


@pytest.fixture
def namings(pytestconfig: pytest.Config) -> list[marks.Naming]:
    """Every mark of every test of this run."""
    return pytestconfig.stash[NAMINGS]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Worker) -> None:
    """Tell a worker of xdist whether this is a full run: a worker is given paths even where we were not."""
    node.workerinput[FULL_RUN] = _is_full_run(node.config)


def _is_full_run(config: pytest.Config) -> bool:
    """Whether all of tests/ was collected: no paths, no ignored ones."""
    told: dict[str, object] | None = getattr(config, "workerinput", None)
    if told is not None:
        return bool(told[FULL_RUN])
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    narrowed = ("ignore", "ignore_glob", "lf")  # the last is the cache plugin's, which can be left out
    return everything and not any(config.getoption(name, default=False) for name in narrowed)


def _deselect(config: pytest.Config, items: list[pytest.Item], name: str) -> None:
    dropped = [item for item in items if item.name == name]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item.name != name]
