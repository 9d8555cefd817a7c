"""What the offline engine understands: parsing, without effects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from understudy.actors.cron import times
from understudy.protocols.errors import Refused

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

HELP = """\
/run COMMAND…            run a shell command; the reply comes when it is done
/every "CRON" COMMAND…   run it at each due time, such as /every "0 7 * * 1-5" ./report
/at TIME COMMAND…        run it once: 2026-12-24T18:00, 18:00, +30s, +5m, +2h, +1d
/cancel ID               cancel a task (task-3), or remove a schedule (sched-1)
/tasks                   list tasks and schedules
Any other text gets a short reply: no model is configured."""

_QUOTES = {'"': '"', "'": "'", "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}
_SPAN = re.compile(r"\+(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


@dataclass(frozen=True, slots=True)
class Run:
    """`/run`."""

    command: str


@dataclass(frozen=True, slots=True)
class Every:
    """`/every`."""

    cron: str
    command: str


@dataclass(frozen=True, slots=True)
class At:
    """`/at`; `when` is as it was written."""

    when: str
    command: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """`/cancel`."""

    id: str


@dataclass(frozen=True, slots=True)
class Tasks:
    """`/tasks`."""


@dataclass(frozen=True, slots=True)
class Help:
    """`/help`."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Any other text."""

    text: str


Command = Run | Every | At | Cancel | Tasks | Help | Talk


def parse(text: str) -> Command:
    """What the input says. The rest of a line is taken as it stands, for the shell to read.

    Raises:
        Refused: an unknown command, or one without what it needs; says how it is written.
    """
    text = text.strip()
    if not text.startswith("/"):
        return Talk(text)
    word = text.split(maxsplit=1)[0]
    return _command(word, text[len(word) :].strip())


def _command(word: str, rest: str) -> Command:
    match word:
        case "/run":
            return Run(_needed(rest, "/run COMMAND…, such as /run echo hello"))
        case "/every":
            return _every(rest)
        case "/at":
            when = rest.split(maxsplit=1)[0] if rest else ""
            usage = "/at TIME COMMAND…, such as /at +5m echo hello"
            return At(_needed(when, usage), _needed(rest[len(when) :].strip(), usage))
        case "/cancel":
            return Cancel(_needed(rest, "/cancel ID, such as /cancel task-3"))
        case "/tasks":
            return Tasks()
        case "/help":
            return Help()
        case _:
            raise Refused(f"Unknown command {word}.\n{HELP}")


def _every(rest: str) -> Every:
    usage = '/every "CRON" COMMAND…, such as /every "*/5 * * * *" echo hello'
    closing = _QUOTES.get(rest[:1])
    if closing is None:
        raise Refused(f"Expected {usage} (with the quotes).")
    cron, found, command = rest[1:].partition(closing)
    if not found:
        raise Refused(f"Expected {usage}; the closing quote is missing.")
    return Every(_needed(cron.strip(), usage), _needed(command.strip(), usage))


def _needed(value: str, usage: str) -> str:
    if not value:
        raise Refused(f"Expected {usage}.")
    return value


def is_from_now(when: str) -> bool:
    """Whether `moment` reckons it from now: a time of day, or a span."""
    return (_SPAN.fullmatch(when) or _OF_DAY.fullmatch(when)) is not None


def moment(when: str, zone: ZoneInfo, now: float) -> datetime:
    """The time that `/at` means: an ISO time, the next HH:MM, or a span from now.

    Raises:
        Refused: it is none of them.
    """
    current = datetime.fromtimestamp(now, zone)
    wrong = f"Expected a time such as 2026-12-24T18:00, 18:00 or +5m, got {when!r}."
    try:
        if (span := _SPAN.fullmatch(when)) is not None:
            # On the clock of the world, not the wall's: five minutes are five minutes in any night.
            seconds = timedelta(**{_UNITS[span[2]]: int(span[1])}).total_seconds()
            return datetime.fromtimestamp(now + seconds, zone)
        if _OF_DAY.fullmatch(when):
            of_day = time.fromisoformat(when.zfill(5) if when.count(":") == 1 else when.zfill(8))
            today = datetime.combine(current.date(), of_day)
            if times.moment_of(today, zone) <= now:
                today += timedelta(days=1)
            return datetime.fromtimestamp(times.moment_of(today, zone), zone)
        stated = datetime.fromisoformat(when)
        if stated.tzinfo is None:
            return datetime.fromtimestamp(times.moment_of(stated, zone), zone)
    except (ValueError, OverflowError):
        raise Refused(wrong) from None
    return stated
