"""The check that no requirement is without a test and no mark without a requirement."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import marks

TABLES = marks.read_tables(Path(__file__).parents[1] / "requirements.toml")


def test_every_due_requirement_and_rule_is_named_by_a_test(namings: list[marks.Naming]) -> None:
    """Runs with the full suite only: a selected subset never names everything."""
    missing = marks.unnamed(namings, TABLES)

    assert not missing, "\n".join(missing)


def test_a_due_id_without_a_test_is_reported() -> None:
    """Naming a requirement does not name the rule of the same id, and the other way round."""
    tables = {"due": {"RT-1": "embedded"}, "later": {}, "rules": {"T1": "one line"}, "rules_later": {}}

    reports = marks.unnamed(
        [marks.Naming("test_a", "req", "RT-1"), marks.Naming("test_b", "req", "T1")], tables
    )

    assert reports == ['T1 (one line): expected a test with @pytest.mark.rule("T1"), got none']


@pytest.mark.parametrize("id_", ["RT-99", "T3"])
def test_a_mark_that_names_no_known_requirement_is_reported(id_: str) -> None:
    """A rule's id under `req` is a slip too."""
    reports = marks.unknown([marks.Naming("test_a", "req", id_)], TABLES)

    assert reports == [f'test_a: expected an id of tests/requirements.toml, got @pytest.mark.req("{id_}")']


def test_requirements_that_are_not_due_yet_may_be_named() -> None:
    """A test may prove more than is asked for."""
    assert marks.unknown([marks.Naming("test_a", "req", "JR-5")], TABLES) == []


def test_no_id_is_both_due_and_for_later() -> None:
    """Moving an id up means moving it."""
    assert not TABLES["due"].keys() & TABLES["later"].keys()
    assert not TABLES["rules"].keys() & TABLES["rules_later"].keys()
