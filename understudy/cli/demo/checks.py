"""The checks: every one is computed from the journals, the prompt book and the process table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from understudy.supervision.leftovers import is_alive

if TYPE_CHECKING:
    from understudy.cli.demo.ledger import Ledger
    from understudy.cli.demo.scenes import Note
    from understudy.supervision.journal import JournalReport


class Check(BaseModel):
    """A promise, whether it was kept, and the numbers that say so."""

    promise: str
    kept: bool
    found: str


@dataclass(frozen=True)
class Evidence:
    """All that the checks look at.

    Attributes:
        accepted: ids that the server answered 202 to, in that order.
        ledger: the journals at the end; `before`: at the moment of the kill.
        notes: the prompt book at the end.
        first_cast: processes that were on stage when the actor fell.
        reports: each journal's lines, numbers and checksums.
        same_key: what two requests with one idempotency key were answered.
    """

    accepted: tuple[str, ...]
    ledger: Ledger
    before: Ledger
    notes: tuple[Note, ...]
    first_cast: tuple[int, ...]
    reports: tuple[JournalReport, ...]
    same_key: tuple[str, str]

    @property
    def reruns(self) -> int:
        """Times that a scene began anew: what the outside world saw more than once."""
        began = Counter(note.task for note in self.notes if note.what == "began")
        return sum(count - 1 for count in began.values())


def check_all(evidence: Evidence) -> list[Check]:
    """All checks, in the order of the story."""
    return [check(evidence) for check in _CHECKS]


def _inputs_are_kept(evidence: Evidence) -> Check:
    received, accepted = evidence.ledger.received, set(evidence.accepted)
    lost = accepted - set(received)
    doubled = [name for name, count in received.items() if count != 1]
    strange = set(received) - accepted
    found = f"{len(accepted)} accepted, {len(lost)} lost, {len(doubled)} doubled, {len(strange)} unknown"
    return Check(
        promise="every accepted input is kept once", kept=not (lost or doubled or strange), found=found
    )


def _inputs_are_answered(evidence: Evidence) -> Check:
    counts = [len(evidence.ledger.replies.get(name, [])) for name in evidence.accepted]
    found = f"{counts.count(1)} of {len(counts)} have exactly one, {sum(counts)} final replies in all"
    return Check(promise="every input has one final reply", kept=set(counts) == {1}, found=found)


def _tasks_have_ended(evidence: Evidence) -> Check:
    tasks = evidence.ledger.tasks.values()
    sound = [story for story in tasks if story.created == 1 and len(story.ends) == 1]
    states = Counter(end for story in tasks for end in story.ends)
    found = f"{len(sound)} of {len(tasks)} once: " + ", ".join(f"{n} {state}" for state, n in states.items())
    return Check(
        promise="every task ended once, in a final state",
        kept=bool(tasks) and len(sound) == len(tasks),
        found=found,
    )


def _orders_make_one_task(evidence: Evidence) -> Check:
    made = Counter(
        s.spec.origin for s in evidence.ledger.tasks.values() if s.spec.origin and not s.spec.schedule
    )
    orders = [name for name in evidence.accepted if evidence.ledger.texts.get(name, "").startswith("/run")]
    kept = all(made[name] == 1 for name in orders) and set(made) <= set(orders)
    return Check(
        promise="every /run made one task", kept=kept, found=f"{len(orders)} orders, {made.total()} tasks"
    )


def _attempts_add_up(evidence: Evidence) -> Check:
    tasks = evidence.ledger.tasks.values()
    numbered = all(s.attempts == list(range(1, len(s.attempts) + 1)) for s in tasks)
    explained = all(len(s.attempts) in (0, 1 + s.interrupted + s.retried) for s in tasks)
    attempts, extra = sum(len(s.attempts) for s in tasks), sum(s.interrupted + s.retried for s in tasks)
    found = f"{attempts} attempts for {len(tasks)} tasks, {extra} repeats, each with its reason"
    return Check(promise="every attempt is in the journal", kept=numbered and explained, found=found)


def _book_agrees(evidence: Evidence) -> Check:
    began = Counter((note.task, note.attempt) for note in evidence.notes if note.what == "began")
    known = {(name, number) for name, story in evidence.ledger.tasks.items() for number in story.attempts}
    unknown, doubled = set(began) - known, [key for key, count in began.items() if count > 1]
    found = (
        f"{began.total()} beginnings seen outside, {len(unknown)} that no journal knows, {len(doubled)} twice"
    )
    return Check(promise="nothing was done behind the journals", kept=not (unknown or doubled), found=found)


def _reruns_are_bounded(evidence: Evidence) -> Check:
    flying = evidence.before.in_flight()
    began = Counter(note.task for note in evidence.notes if note.what == "began")
    again = {name for name, count in began.items() if count > 1}
    kept = again <= set(flying) and evidence.reruns <= len(flying)
    found = f"{len(flying)} were in flight at the kill, {evidence.reruns} began again, no other did"
    if not kept:
        found = f"{len(flying)} were in flight at the kill, these began again: {', '.join(sorted(again))}"
    return Check(promise="only what was in flight ran again", kept=kept and bool(flying), found=found)


def _schedules_fired_once(evidence: Evidence) -> Check:
    ledger = evidence.ledger
    made = Counter((s.spec.schedule, s.spec.nominal_at) for s in ledger.tasks.values() if s.spec.schedule)
    once = all(count == 1 for count in ledger.firings.values()) and {
        name for name, _ in ledger.firings
    } == set(ledger.schedules)
    kept = once and made == ledger.firings and bool(ledger.firings)
    found = f"{len(ledger.schedules)} schedules, {ledger.firings.total()} firings, {made.total()} tasks"
    return Check(promise="every schedule fired once", kept=kept, found=found)


def _no_orphans(evidence: Evidence) -> Check:
    alive = [pid for pid in evidence.first_cast if is_alive(pid)]
    found = f"{len(evidence.first_cast)} processes were on stage when it fell, {len(alive)} still run"
    return Check(promise="no process outlived its task", kept=not alive, found=found)


def _journals_are_whole(evidence: Evidence) -> Check:
    damaged = [report.name for report in evidence.reports if not report.whole]
    lines = sum(report.lines for report in evidence.reports)
    found = f"{lines} lines in {len(evidence.reports)} journals" + (
        f", damaged: {damaged}" if damaged else ""
    )
    return Check(
        promise="every line has its number and checksum", kept=not damaged and lines > 0, found=found
    )


def _keys_hold(evidence: Evidence) -> Check:
    first, second = evidence.same_key
    found = f"before the fall {first}, after it {second}"
    return Check(
        promise="the same key gets the same answer", kept=bool(first) and first == second, found=found
    )


_CHECKS = (
    _inputs_are_kept,
    _inputs_are_answered,
    _orders_make_one_task,
    _tasks_have_ended,
    _attempts_add_up,
    _book_agrees,
    _reruns_are_bounded,
    _schedules_fired_once,
    _no_orphans,
    _journals_are_whole,
    _keys_hold,
)
