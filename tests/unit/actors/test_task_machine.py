"""The life of tasks against a model: any order of outcomes, cancels, retries, stale tokens and restarts."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.unit.actors.stage import Ear, journal_events
from understudy import ActorSystem, Refused
from understudy.actors.workers import Attempt, PoolConfig, WorkerPoolActor
from understudy.actors.workers.state import AttemptEnded, TaskDue
from understudy.protocols.errors import DuplicateTask
from understudy.protocols.tasks import CancelTask, CreateTask, GetTask, ListTasks, TaskSpec
from understudy.supervision.in_thread import ThreadedSystem

LIMIT, WEB_LIMIT, RERUNS = 3, 1, 3


class Hang:
    """Attempts that end only when they are cancelled; outcomes come as messages from the test."""

    async def run(self, attempt: Attempt) -> int:
        await trio.sleep_forever()
        return attempt.number


@dataclass
class Model:
    """What a task should be."""

    number: int
    priority: int
    retries: int
    queue: str = "default"
    fingerprint: str | None = None
    replace_key: str | None = None
    delayed: bool = False
    status: str = "pending"
    attempts: int = 0
    failures: int = 0
    due: bool = True
    backing_off: bool = False


class TaskMachine(RuleBasedStateMachine):
    """Three places, a queue of one, some tasks, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="understudy-machine-"))
        self.tasks: list[Model] = []
        self.open()

    def open(self) -> None:
        self.threaded: ThreadedSystem = ActorSystem.in_thread(self.folder)
        self.system = self.threaded.__enter__()
        self.system.spawn(Ear, name="ear")
        self.pool: Any = self.system.spawn(
            WorkerPoolActor,
            name="workers",
            limit=LIMIT,
            notify="ear",
            reruns=RERUNS,
            executors={"hang": Hang()},
            config=PoolConfig(queue_limits={"web": WEB_LIMIT}),
        )

    def teardown(self) -> None:
        over = sorted(f"task-{one.number}" for one in self.tasks if one.status not in {"pending", "running"})
        give_up = time.monotonic() + 5
        while len(journal_events(self.folder, "ear")) < len(over) and time.monotonic() < give_up:
            self.ask(ListTasks())
        self.threaded.__exit__(None, None, None)
        finished = [e for e in journal_events(self.folder, "workers") if e["type"] == "TaskFinished"]
        told = [e["result"]["task"] for e in journal_events(self.folder, "ear")]
        shutil.rmtree(self.folder)
        assert sorted(event["id"] for event in finished) == over, "each end is journaled once"
        assert sorted(told) == over, "and told once"

    def ask(self, message: Any) -> Any:
        return self.pool.ask(message, timeout=5)

    def dispatch(self) -> None:
        """What the pool does after each change: the best that wait get the free places."""
        waiting = [one for one in self.tasks if one.status == "pending" and one.due]
        waiting.sort(key=lambda one: (-one.priority, one.number))
        for one in waiting:
            running = [other for other in self.tasks if other.status == "running"]
            of_queue = sum(other.queue == one.queue for other in running)
            replaces = any(
                other.replace_key == one.replace_key for other in running if one.replace_key is not None
            )
            if len(running) < LIMIT and (one.queue != "web" or of_queue < WEB_LIMIT) and not replaces:
                one.status, one.attempts, one.backing_off = "running", one.attempts + 1, False
                one.delayed = False

    def pick(self, index: int, status: str) -> Model | None:
        matching = [one for one in self.tasks if one.status == status]
        return matching[index % len(matching)] if matching else None

    @rule(
        priority=st.integers(-1, 1),
        retries=st.integers(0, 2),
        queue=st.sampled_from(["default", "web"]),
        fingerprint=st.sampled_from([None, None, "f", "g"]),
        replace_key=st.sampled_from([None, None, "k"]),
        delayed=st.booleans(),
    )
    def create(self, *, delayed: bool, **fields: Any) -> None:
        spec = TaskSpec(
            title="work",
            executor="hang",
            retry_delay_s=3600,
            start_at=time.time() + 3600 if delayed else None,
            **fields,
        )
        active = [one for one in self.tasks if one.status in {"pending", "running"}]
        same = [one for one in active if spec.fingerprint in {one.fingerprint} - {None}]
        if same:
            with pytest.raises(DuplicateTask) as refused:
                self.ask(CreateTask(spec=spec))
            assert refused.value.task == f"task-{same[0].number}"
            return
        accepted = self.ask(CreateTask(spec=spec))
        new = Model(len(self.tasks) + 1, due=not delayed, delayed=delayed, **fields)
        self.tasks.append(new)
        assert accepted.id == f"task-{new.number}"
        for one in active:
            if spec.replace_key in {one.replace_key} - {None}:
                if one.status == "running":
                    self.wait_ended(one)
                one.status = "canceled"
        self.dispatch()

    def wait_ended(self, one: Model) -> None:
        """An attempt that was told to end does so by itself."""
        give_up = time.monotonic() + 5
        while self.ask(GetTask(id=f"task-{one.number}")).status == "running":
            assert time.monotonic() < give_up

    @rule(index=st.integers(0, 9), code=st.sampled_from([0, 1, None]))
    def end(self, index: int, code: int | None) -> None:
        if (one := self.pick(index, "running")) is None:
            return
        self.ask(AttemptEnded(task=f"task-{one.number}", attempt=one.attempts, exit_code=code, reason="x"))
        if code == 0:
            one.status = "succeeded"
        elif one.failures < one.retries:
            one.status, one.failures, one.due = "pending", one.failures + 1, False
            one.backing_off = True
        else:
            one.status = "failed"
        self.dispatch()

    @rule(index=st.integers(0, 9), back=st.integers(-1, 2))
    def end_with_a_stale_token(self, index: int, back: int) -> None:
        if not self.tasks:
            return
        one = self.tasks[index % len(self.tasks)]
        if back == 0 and one.status == "running":
            return
        stale = AttemptEnded(task=f"task-{one.number}", attempt=one.attempts - back, exit_code=0, reason="")
        self.ask(stale)

    @rule(index=st.integers(0, 9))
    def come_due(self, index: int) -> None:
        waiting = [one for one in self.tasks if one.status == "pending" and not one.due]
        if waiting:
            one = waiting[index % len(waiting)]
            self.ask(TaskDue(task=f"task-{one.number}"))
            one.due = True
            self.dispatch()

    @rule(index=st.integers(0, 9))
    def cancel_pending(self, index: int) -> None:
        if (one := self.pick(index, "pending")) is not None:
            assert self.ask(CancelTask(id=f"task-{one.number}")).status == "canceled"
            one.status = "canceled"

    @rule(index=st.integers(0, 9), racing=st.sampled_from([0, 1, None]), races=st.booleans())
    def cancel_running(self, index: int, racing: int | None, *, races: bool) -> None:
        if (one := self.pick(index, "running")) is None:
            return
        name, attempt = f"task-{one.number}", one.attempts
        self.ask(CancelTask(id=name))
        if races:
            self.ask(AttemptEnded(task=name, attempt=attempt, exit_code=racing, reason=""))
        # The attempt's own end comes by itself; it is the second one when the other raced it.
        self.wait_ended(one)
        one.status = "canceled"
        self.dispatch()

    @precondition(lambda self: any(one.status in {"succeeded", "failed", "canceled"} for one in self.tasks))
    @rule(index=st.integers(0, 9))
    def cancel_what_is_over(self, index: int) -> None:
        over = [one for one in self.tasks if one.status not in {"pending", "running"}]
        one = over[index % len(over)]
        if one.status == "canceled":
            assert self.ask(CancelTask(id=f"task-{one.number}")).status == "canceled"
        else:
            with pytest.raises(Refused):
                self.ask(CancelTask(id=f"task-{one.number}"))

    @rule()
    def restart(self) -> None:
        self.threaded.__exit__(None, None, None)
        self.open()
        for one in self.tasks:
            if one.status == "running":
                one.status = "pending"  # an orderly stop: it does not count towards the reruns
            elif one.status == "pending" and (one.backing_off or one.delayed):
                one.due = False  # `come_due` only said that the hour had passed; the clock knows better
        self.dispatch()

    @invariant()
    def the_pool_agrees(self) -> None:
        listed = self.ask(ListTasks(limit=1000))
        assert [(f"task-{one.number}", one.status, one.attempts) for one in reversed(self.tasks)] == [
            (view.id, view.status, view.attempts) for view in listed.tasks
        ]
        assert listed.running <= LIMIT
        running = [view for view in listed.tasks if view.status == "running"]
        assert sum(view.queue == "web" for view in running) <= WEB_LIMIT


@pytest.mark.req("WK-1")
@pytest.mark.req("WK-2")
@pytest.mark.req("WK-3")
@pytest.mark.req("WK-5")
@pytest.mark.rule("E3")
def test_tasks_do_what_the_model_says_whatever_happens_to_them() -> None:
    """Final states stay final, places are never overbooked, each end is journaled and told once."""
    run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]
        TaskMachine, settings=settings(max_examples=15, stateful_step_count=25, deadline=None)
    )
