"""What would end or spin the whole system is refused where it is asked for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.unit.supervision.bank import Account, Balance, Read
from understudy import ActorSystem
from understudy.protocols.errors import HomeError


class Timed(Account):
    """Starts timers with odd times."""

    def read(self, _message: Read) -> Balance:
        for delay_s, period_s in ((math.nan, None), (1.0, math.nan), (1.0, 0.0), (1.0, -1.0)):
            with pytest.raises(ValueError, match="expected a timer 'odd' with a delay and a positive period"):
                self.start_timer("odd", Read(), delay_s=delay_s, period_s=period_s)
        self.start_timer("never", Read(), delay_s=math.inf)
        return self.balance()


@pytest.mark.req("RT-7")
async def test_a_timer_without_a_time_is_refused(tmp_path: Path) -> None:
    """A time that is no number ended the whole system, and a period of 0 never let it rest."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Timed, name="a")
        assert await account.ask_async(Read()) == Balance(cents=0)


def test_emit_is_no_handler_of_events() -> None:
    """It takes any of them, and applying one with it would never end."""
    assert [kind.__name__ for kind in Account._events] == ["Deposited", "Noted"]  # pyright: ignore[reportPrivateUsage]


def test_an_unusable_home_is_no_internal_error() -> None:
    """Its title is the first thing that people read."""
    assert HomeError("x").title == "Home unusable"
