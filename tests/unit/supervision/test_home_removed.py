"""A home that somebody removes while it is in use (rules H2, J5)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.supervision.bank import Account, Deposit
from understudy import ActorHalted, ActorSystem, OutcomeUnknown


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
async def test_nothing_is_acknowledged_that_went_to_a_removed_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The writes and syncs succeed, and nobody will ever read what they wrote."""
    caplog.set_level("CRITICAL", logger="understudy")
    home = tmp_path / "home"
    async with ActorSystem(home) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        shutil.rmtree(home)
        with pytest.raises(OutcomeUnknown, match="the file that is written was removed"):
            await account.ask_async(Deposit(cents=2))
        with pytest.raises(ActorHalted):
            await account.ask_async(Deposit(cents=3))
