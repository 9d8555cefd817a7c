"""Strategies and restart kinds: the tables of OTP."""

from __future__ import annotations

import pytest

from understudy.supervision.strategy import Restart, Strategy

pytestmark = pytest.mark.req("RT-6")


@pytest.mark.parametrize(
    ("strategy", "affected"),
    [
        (Strategy.ONE_FOR_ONE, [2]),
        (Strategy.ONE_FOR_ALL, [0, 1, 2, 3]),
        (Strategy.REST_FOR_ONE, [2, 3]),
    ],
)
def test_a_strategy_says_who_is_restarted(strategy: Strategy, affected: list[int]) -> None:
    """The third of four children failed."""
    assert list(strategy.affected(2, 4)) == affected


@pytest.mark.parametrize(
    ("kind", "failed", "wanted"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_a_kind_says_whether_a_child_is_started_again(kind: Restart, *, failed: bool, wanted: bool) -> None:
    """After a failure and after a normal end."""
    assert kind.wanted(failed=failed) is wanted
