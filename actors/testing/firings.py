"""What must be true of firings: each nominal time fires once or is recorded as missed, and makes one task.

What may be left out of a schedule's times, and why:

* those up to its creation, and those between a disabling and an enabling: nobody asked for them;
* those up to the last that has fired or was missed, however often a clock that is set back shows them
  again: a firing's name is used once;
* those that came within `LATE_S` before the schedule was disabled or removed: a clock that was set forward
  is noticed that late, and then nobody wants them any more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.actors.testing.nominal import next_nominal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from understudy.supervision.testing.lines import Lines

LATE_S = 35.0
"""Cron looks at the wall clock every 30 seconds."""
_TURN = 100
"""A turn with so many firings may have more of them follow in the next."""


@dataclass
class Followed:
    """A schedule; `accounted` is the last nominal time of which it is known what became of it.

    It was asked for at `since`: a single time that was proposed may be over by then, and is due at once.
    """

    id: str
    spec: dict[str, Any]
    timezone: str
    accounted: float
    since: float
    enabled: bool = True

    def next(self) -> float | None:
        """The nominal time that comes next."""
        return next_nominal(self.spec, self.timezone, self.accounted)

    def is_late(self, nominal_at: float, now: float) -> bool:
        """Whether its firing at `now` is a misfire for certain (the jitter may be anything)."""
        return nominal_at + self.spec.get("jitter_s", 0.0) < now - self.spec.get("misfire_grace_s", 60.0)

    def may_be_late(self, nominal_at: float, now: float) -> bool:
        """Whether it may be one."""
        return nominal_at < now - self.spec.get("misfire_grace_s", 60.0)

    def overdue(self, now: float) -> float | None:
        """A nominal time that should have been seen to by now."""
        nominal_at = self.next() if self.enabled else None
        if nominal_at is None:
            return None
        due_at = max(self.since, nominal_at + self.spec.get("jitter_s", 0.0))
        return nominal_at if due_at + LATE_S < now else None


def check_firings(
    journals: Mapping[str, Lines], *, now: float, jumps: Sequence[tuple[float, float]], settled: bool
) -> None:
    """Check each schedule's times against those that the calendar gives, and what they led to.

    Args:
        journals: with all lines that there ever were.
        now: the wall time; cron runs.
        jumps: wall times before and after each jump of the clock.
        settled: whether everything is over.

    Raises:
        AssertionError.
    """
    cron, workers = journals.get("cron"), journals.get("workers")
    ledger = _Ledger(tuple(after for before, after in jumps if after > before))
    for line in cron.parsed.values() if cron is not None else ():
        ledger.turn(line["ts"] / 1e6, [(event["type"], event["data"]) for event in line["events"]])
    ledger.look(now)
    check_outcomes(ledger, workers.events() if workers is not None else (), settled=settled)


class _Ledger:
    """Cron's journal, line by line.

    Attributes:
        fired: every firing by name, and whether it makes a task.
    """

    def __init__(self, landed: Sequence[float]) -> None:
        self._landed = landed
        self._schedules: dict[str, Followed] = {}
        self.fired: dict[tuple[str, float], bool] = {}

    def turn(self, now: float, events: list[tuple[str, dict[str, Any]]]) -> None:
        """One line."""
        caught_up: Counter[str] = Counter()
        fired: Counter[str] = Counter()
        missed: set[str] = set()
        for kind, data in events:
            name = data["id"]
            if kind == "ScheduleAdded":
                from_the_start = data["spec"].get("cron") is None
                accounted = float("-inf") if from_the_start else now
                assert name not in self._schedules, f"{name} was added twice"
                self._schedules[name] = Followed(name, data["spec"], data["timezone"], accounted, now)
            elif kind == "ScheduleFired":
                self._fire(self._schedules[name], data, now)
                caught_up[name] += data["caught_up"]
                fired[name] += 1
            elif kind == "FiringsMissed":
                self._miss(self._schedules[name], data["missed"], now)
                missed.add(name)
            elif kind == "ScheduleEnabled":
                one = self._schedules[name]
                one.enabled, one.accounted = True, max(one.accounted, now)
            elif kind in ("ScheduleDisabled", "ScheduleRemoved"):
                self._look_at(self._schedules[name], now)
                self._schedules[name].enabled = False
            if "next_at" in data:
                due = self._schedules[name].next()
                assert data["next_at"] == due, f"{name} announces {data['next_at']}, and {due} comes next"
        for name in caught_up.keys() | missed:
            if fired.total() < _TURN:
                self._check_policy(self._schedules[name], caught_up[name], fired[name], name in missed)
        self.look(now)

    def look(self, now: float) -> None:
        """Nothing that came some time ago is open."""
        for one in self._schedules.values():
            self._look_at(one, now)

    def _look_at(self, one: Followed, now: float) -> None:
        lost = one.overdue(now)
        if lost is not None and not any(now - LATE_S <= landed <= now for landed in self._landed):
            msg = f"{one.id}: {lost} neither fired nor was recorded as missed, and it is {now}"
            raise AssertionError(msg)

    def _fire(self, one: Followed, data: dict[str, Any], now: float) -> None:
        nominal_at = data["nominal_at"]
        assert (one.id, nominal_at) not in self.fired, f"{one.id} has fired twice for {nominal_at}"
        assert one.enabled, f"{one.id} fired for {nominal_at} and was not to"
        assert nominal_at == one.next(), f"{one.id} fired for {nominal_at}, and {one.next()} came next"
        assert nominal_at <= now + 1e-3, f"{one.id} fired for {nominal_at} at {now}, too early"
        late = one.may_be_late(nominal_at, now) if data["caught_up"] else not one.is_late(nominal_at, now)
        assert late, f"{one.id}: {nominal_at} fired at {now}, caught up: {data['caught_up']}"
        one.accounted = nominal_at
        self.fired[one.id, nominal_at] = one.spec.get("kind", "background") == "background"

    def _miss(self, one: Followed, missed: dict[str, Any], now: float) -> None:
        assert one.enabled, f"{one.id} missed times and was disabled"
        first, last = missed["first_at"], missed["last_at"]
        assert first == one.next(), f"{one.id} missed times from {first}, and {one.next()} came next"
        assert one.may_be_late(last, now), f"{one.id} missed {last} at {now}, which was in time"
        count = 0
        while (nominal_at := one.next()) is not None and nominal_at <= last:
            one.accounted, count = nominal_at, count + 1
        assert (one.accounted, count) == (last, missed["count"]), (
            f"{one.id}: {missed} are {count} times, the last of them {one.accounted}"
        )

    @staticmethod
    def _check_policy(one: Followed, caught_up: int, fired: int, missed: bool) -> None:  # noqa: FBT001 - private
        """Whether as many were made up for as the schedule says."""
        policy = one.spec.get("misfire", "once")
        limit = {"skip": 0, "once": 1, "all": one.spec.get("misfire_limit", 10)}[policy]
        assert caught_up <= limit, f"{one.id}: {caught_up} made up for, where the policy is {policy}"
        if missed and policy == "once":
            assert fired, f"{one.id} missed times, and nothing made up for them"
        if missed and policy == "all":
            assert caught_up == limit, f"{one.id} missed times, and only {caught_up} fired, not {limit}"


def check_outcomes(ledger: _Ledger, events: Iterable[tuple[str, dict[str, Any]]], *, settled: bool) -> None:
    """A firing makes one task, or the pool says which rule skipped it."""
    made: Counter[tuple[str, float]] = Counter()
    for kind, data in events:
        if kind == "TaskCreated" and data["spec"].get("schedule"):
            made[data["spec"]["schedule"], data["spec"]["nominal_at"]] += 1
        elif kind == "FiringSkipped":
            made[data["schedule"], data["nominal_at"]] += 1
    for firing, count in made.items():
        assert firing in ledger.fired, f"the pool knows of {firing}, which did not fire"
        assert count == 1, f"the firing {firing} came to the pool {count} times"
    if settled:
        missing = {firing for firing, background in ledger.fired.items() if background} - made.keys()
        assert not missing, f"firings without a task or a refusal: {sorted(missing)}"
