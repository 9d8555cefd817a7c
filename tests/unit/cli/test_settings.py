"""Which home a command is about, and what the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.cli.exits import CommandFailed, Exit
from understudy.cli.settings import Common, environment, home_path


@pytest.mark.req("CLI-1")
def test_the_option_wins_over_the_variable_which_wins_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--home`, then UNDERSTUDY_HOME, then ~/.understudy; always absolute."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("UNDERSTUDY_HOME", raising=False)
    assert home_path(Common()) == tmp_path / ".understudy"
    monkeypatch.setenv("UNDERSTUDY_HOME", "")
    assert home_path(Common()) == tmp_path / ".understudy"
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "of the variable"))
    assert home_path(Common()) == tmp_path / "of the variable"
    monkeypatch.chdir(tmp_path)
    assert home_path(Common(home=Path("of the option"))) == tmp_path / "of the option"
    assert home_path(Common(home=Path("~/x"))) == tmp_path / "x"


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(("name", "value"), [("UNDERSTUDY_PORT", "many"), ("UNDERSTUDY_LOG_LEVEL", "LOUD")])
def test_a_variable_that_does_not_fit_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, with the variable and what it holds."""
    monkeypatch.setenv(name, value)
    with pytest.raises(CommandFailed) as caught:
        environment()
    assert caught.value.problem.exit == Exit.USAGE
    assert name in caught.value.problem.detail
    assert value in caught.value.problem.detail


@pytest.mark.req("CLI-1")
def test_the_mark_of_a_task_does_not_disturb_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """UNDERSTUDY_ATTEMPT, which every task has, is no setting and no error."""
    monkeypatch.setenv("UNDERSTUDY_ATTEMPT", "task-1/1")
    assert environment().port == 7433
