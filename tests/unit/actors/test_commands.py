from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from understudy.actors.engines.commands import At, Cancel, Every, Help, Run, Talk, Tasks, moment, parse
from understudy.protocols.errors import Refused

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=ZURICH).timestamp()


@pytest.mark.req("EN-5")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run echo hello", Run("echo hello")),
        ("  /run   echo  'two  spaces' | cat ", Run("echo  'two  spaces' | cat")),
        ("/run cat <<E\nline\nE", Run("cat <<E\nline\nE")),
        ("/run\necho next line", Run("echo next line")),
        ('/every "*/5 * * * *" echo hi', Every("*/5 * * * *", "echo hi")),
        ("/every '0 7 * * 1-5' ./report", Every("0 7 * * 1-5", "./report")),
        ("/every \u201c0 7 * * *\u201d ./report", Every("0 7 * * *", "./report")),
        ("/at +5m echo hi", At("+5m", "echo hi")),
        ("/at 18:00 echo hi", At("18:00", "echo hi")),
        ("/cancel task-3", Cancel("task-3")),
        ("/tasks", Tasks()),
        ("/help", Help()),
        ("hello /run", Talk("hello /run")),
    ],
)
def test_an_input_is_parsed_as_the_rules_say(text: str, expected: object) -> None:
    """What follows the command is left to the shell, spaces and lines and all."""
    assert expected == parse(text)


@pytest.mark.req("EN-5")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("/run", "/run COMMAND…"),
        ("/run   ", "/run COMMAND…"),
        ("/every * * * * * echo", "with the quotes"),
        ('/every "* * * * * echo', "closing quote is missing"),
        ('/every "* * * * *"', "/every"),
        ('/every "" echo', "/every"),
        ("/at", "/at TIME"),
        ("/at +5m", "/at TIME"),
        ("/cancel", "/cancel ID"),
        ("/fly home", "Unknown command /fly"),
        ("/", "Unknown command /"),
    ],
)
def test_a_command_that_lacks_something_is_refused_with_how_it_is_written(text: str, hint: str) -> None:
    """The refusal is what the user reads as the reply."""
    with pytest.raises(Refused) as caught:
        parse(text)
    assert hint in str(caught.value)


@pytest.mark.req("EN-5")
@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("+30s", "2026-11-20T10:00:30+01:00"),
        ("+5m", "2026-11-20T10:05:00+01:00"),
        ("+2h", "2026-11-20T12:00:00+01:00"),
        ("+1d", "2026-11-21T10:00:00+01:00"),
        ("18:00", "2026-11-20T18:00:00+01:00"),
        ("9:30", "2026-11-21T09:30:00+01:00"),
        ("10:00", "2026-11-21T10:00:00+01:00"),
        ("2026-12-24T18:00", "2026-12-24T18:00:00+01:00"),
        ("2026-12-24T18:00Z", "2026-12-24T18:00:00+00:00"),
    ],
)
def test_a_time_is_read_in_the_homes_zone(when: str, expected: str) -> None:
    """A time of day is the next one; one with a zone keeps it."""
    assert datetime.fromisoformat(expected) == moment(when, ZURICH, NOW)


@pytest.mark.req("EN-5")
@pytest.mark.parametrize("when", ["soon", "25:00", "+5", "+5w", "2026-13-01T00:00", "+999999999d", "12:60"])
def test_what_is_no_time_is_refused(when: str) -> None:
    """With examples of what is."""
    with pytest.raises(Refused, match="Expected a time such as"):
        moment(when, ZURICH, NOW)
