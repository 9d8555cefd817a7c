"""The manager: takes what happens, has an engine answer it, carries the answer out."""

from __future__ import annotations

import logging

import trio

from understudy.actors.cron.times import find_zone
from understudy.actors.engines import Engine, OfflineEngine
from understudy.actors.manager import replies
from understudy.actors.manager.desk import RunDesk
from understudy.actors.manager.state import ManagerState, OpenInput, RunInFlight
from understudy.protocols.base import text_of
from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    GetManagerStatus,
    InputAccepted,
    InputReceived,
    ManagerStatus,
    RunFailed,
    RunGivenUp,
    RunStarted,
    RunSucceeded,
    SubmitInput,
    TaskDoneReceived,
    WakeCronDue,
    WakeTaskDone,
)
from understudy.protocols.engine import (
    DoneTask,
    FailRun,
    FinishRun,
    Reply,
    RetryRun,
    RunRequest,
    ScheduleToAdd,
    ScheduleToRemove,
    UserInput,
    Wake,
)
from understudy.protocols.errors import ActorStopped
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.manager")

RETRY_CAP_S = 60.0


class ManagerActor(PersistentActor[ManagerState]):
    """Single flight (MG-1): one run at a time, for a fixed batch of wake events.

    A wake event is a fact in the journal as soon as it is accepted (MG-2). When no run is in flight,
    all that wait become the batch of the next one. The engine is called in a background task, so that
    the mailbox stays open; what it answers, the actions and the consumption of the batch are one
    journal line (rule E1). Nothing here happens by itself: no wake event, no turn.

    Args:
        engine: answers the runs; the offline engine by default.
        timezone: IANA name of the home's zone.
        failures: attempts that may fail before the batch gets fallback replies.
        crashes: the same for attempts that the runtime went down under.
        retry_delay_s: wait before the second attempt, doubled each time.
        run_timeout_s: an attempt that takes longer has failed.
        workers, cron: the actors that carry actions out.
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        timezone: str = "UTC",
        failures: int = 3,
        crashes: int = 20,
        retry_delay_s: float = 1.0,
        run_timeout_s: float = 600.0,
        workers: str = "workers",
        cron: str = "cron",
    ) -> None:
        super().__init__()
        find_zone(timezone)
        self._engine = engine or OfflineEngine()
        self._timezone = timezone
        self._failures = failures
        self._crashes = crashes
        self._retry_delay_s = retry_delay_s
        self._run_timeout_s = run_timeout_s
        self._workers = workers
        self._cron = cron

    def on_start(self) -> None:
        """A run that was in flight is started again; its events are the same."""
        run = self.state.run
        if run is None:
            self._wake()
        elif run.retry_at is not None:
            self._retry_later(run)
        elif run.attempt - run.failures > self._crashes:
            self._give_up(run, f"the runtime went down under it {self._crashes + 1} times")
        else:
            self._start(run, run.attempt + 1)

    # -- wake events

    def submit_input(self, message: SubmitInput) -> InputAccepted:
        input_id = f"input-{self.state.next_input}"
        self.emit(InputReceived(input=UserInput(id=input_id, text=message.text, session=message.session)))
        self._wake()
        return InputAccepted(id=input_id)

    def wake_task_done(self, message: WakeTaskDone) -> None:
        self.emit(TaskDoneReceived(result=message.result))
        self._wake()

    def wake_cron_due(self, message: WakeCronDue) -> None:
        self.emit(CronDueReceived(due=message.due))
        self._wake()

    # -- what the attempt in flight reports

    def finish_run(self, message: FinishRun) -> None:
        if (run := self._in_flight(message.run, message.attempt)) is None:
            return
        settled = replies.settle(message.answer.replies, message.actions, self._batch(run), self.state.inputs)
        self.emit(
            RunSucceeded(
                run=run.id,
                attempt=run.attempt,
                batch=run.batch,
                messages=self._messages(settled),
                actions=message.actions,
                session_id=message.answer.session_id,
            )
        )
        for action in message.actions:
            schedules = isinstance(action, ScheduleToAdd | ScheduleToRemove)
            self.send(self._cron if schedules else self._workers, action.message)
        self._wake()

    def fail_run(self, message: FailRun) -> None:
        if (run := self._in_flight(message.run, message.attempt)) is None:
            return
        log.warning("%s/%d failed: %s", run.id, run.attempt, message.error, extra={"action": "run_failed"})
        if run.failures + 1 >= self._failures:
            self._give_up(run, message.error)
            return
        delay_s = min(RETRY_CAP_S, self._retry_delay_s * 2**run.failures)
        retry_at = self.clock.time() + delay_s
        self.emit(RunFailed(run=run.id, attempt=run.attempt, error=message.error, retry_at=retry_at))
        self._retry_later(run)

    def retry_run(self, message: RetryRun) -> None:
        run = self.state.run
        if run is not None and (run.id, run.attempt) == (message.run, message.attempt):
            self._start(run, run.attempt + 1)

    def get_manager_status(self, _message: GetManagerStatus) -> ManagerStatus:
        run = self.state.run
        return ManagerStatus(
            run=run.id if run else None,
            attempt=run.attempt if run else 0,
            waiting=len(self.state.wakes) - (len(run.batch) if run else 0),
            open_inputs=len(self.state.inputs),
        )

    # -- events

    def input_received(self, event: InputReceived) -> None:
        state, one = self.state, event.input
        state.next_input += 1
        state.wakes[one.id] = one
        state.inputs[one.id] = OpenInput(session=one.session)

    def task_done_received(self, event: TaskDoneReceived) -> None:
        done = DoneTask(id=event.result.task, result=event.result)
        self.state.wakes[done.id] = done

    def cron_due_received(self, event: CronDueReceived) -> None:
        self.state.wakes[event.due.id] = event.due

    def run_started(self, event: RunStarted) -> None:
        run = self.state.run
        if run is None:
            self.state.next_run += 1
            self.state.run = RunInFlight(id=event.run, batch=event.batch)
        else:
            run.attempt, run.retry_at = event.attempt, None

    def run_failed(self, event: RunFailed) -> None:
        run = self.state.run
        assert run is not None
        run.failures += 1
        run.retry_at = event.retry_at

    def run_succeeded(self, event: RunSucceeded) -> None:
        batch = [self.state.wakes[name] for name in event.batch]
        pending = replies.pending_tasks(event.actions, batch, self.state.inputs)
        for name, tasks in pending.items():
            self.state.inputs[name].tasks = tasks
        self.state.session_id = event.session_id or self.state.session_id
        self._consume(event.batch, event.messages)

    def run_given_up(self, event: RunGivenUp) -> None:
        batch = [self.state.wakes[name] for name in event.batch]
        for name, tasks in replies.pending_tasks((), batch, self.state.inputs).items():
            self.state.inputs[name].tasks = tasks
        self._consume(event.batch, event.messages)

    def _consume(self, batch: tuple[str, ...], messages: tuple[ConversationMessage, ...]) -> None:
        state = self.state
        state.run = None
        state.next_message += len(messages)
        for name in batch:
            del state.wakes[name]
        for message in messages:
            for name in message.in_reply_to:
                state.inputs.pop(name, None)

    # -- runs

    def _wake(self) -> None:
        """The one entrance: start a run when none is in flight and something waits."""
        if self.state.run is None and self.state.wakes:
            run_id, batch = f"run-{self.state.next_run}", tuple(self.state.wakes)
            self.emit(RunStarted(run=run_id, attempt=1, batch=batch, engine=self._engine.name))
            self._launch()

    def _start(self, run: RunInFlight, attempt: int) -> None:
        self.emit(RunStarted(run=run.id, attempt=attempt, batch=run.batch, engine=self._engine.name))
        self._launch()

    def _launch(self) -> None:
        run = self.state.run
        assert run is not None
        request = RunRequest(
            run=run.id,
            attempt=run.attempt,
            batch=self._batch(run),
            now=self.clock.time(),
            timezone=self._timezone,
            session_id=self.state.session_id,
        )
        self.start_task(self._attempt, request, name=f"{run.id}/{run.attempt}")

    async def _attempt(self, request: RunRequest) -> None:
        """In the background: have the engine answer, and report it under the attempt's token."""
        desk = RunDesk(
            self.system,
            timezone=request.timezone,
            now=request.now,
            workers=self._workers,
            cron=self._cron,
        )
        report: FinishRun | FailRun
        try:
            with trio.fail_after(self._run_timeout_s):
                answer = await self._engine.run(request, desk)
            report = FinishRun(run=request.run, attempt=request.attempt, answer=answer, actions=desk.actions)
        except trio.TooSlowError:
            error = f"no answer within {self._run_timeout_s:g} s"
            report = FailRun(run=request.run, attempt=request.attempt, error=error)
        except Exception as failure:  # noqa: BLE001 - whatever an engine raises is a failed attempt
            error = text_of(failure) or type(failure).__name__
            report = FailRun(run=request.run, attempt=request.attempt, error=error)
        try:
            await self.ref.tell_async(report)
        except ActorStopped:
            log.debug("%s ended after the manager", request.run, extra={"action": "run_late"})

    def _retry_later(self, run: RunInFlight) -> None:
        retry = RetryRun(run=run.id, attempt=run.attempt)
        self.start_timer("retry", retry, at_s=run.retry_at)

    def _give_up(self, run: RunInFlight, error: str) -> None:
        fallback = replies.fall_back(self._batch(run), self.state.inputs, error)
        self.emit(
            RunGivenUp(
                run=run.id,
                attempt=run.attempt,
                batch=run.batch,
                messages=self._messages(fallback),
                error=error,
            )
        )
        self._wake()

    # -- small questions

    def _in_flight(self, run_id: str, attempt: int) -> RunInFlight | None:
        """The run, if this is its live attempt; a late report of another is dropped (rule E1)."""
        run = self.state.run
        if run is None or run.retry_at is not None or (run.id, run.attempt) != (run_id, attempt):
            log.info("late report of %s/%d dropped", run_id, attempt, extra={"action": "run_stale"})
            return None
        return run

    def _batch(self, run: RunInFlight) -> tuple[Wake, ...]:
        return tuple(self.state.wakes[name] for name in run.batch)

    def _messages(self, settled: list[Reply]) -> tuple[ConversationMessage, ...]:
        first = self.state.next_message
        return tuple(
            ConversationMessage(
                id=f"msg-{first + index}",
                role=reply.role,
                text=reply.text,
                in_reply_to=reply.in_reply_to,
                task=reply.task,
                session=self._session(reply),
            )
            for index, reply in enumerate(settled)
        )

    def _session(self, reply: Reply) -> str:
        for name in reply.in_reply_to:
            return self.state.inputs[name].session
        for wake in self.state.wakes.values():
            if isinstance(wake, DoneTask) and wake.id == reply.task:
                return wake.result.session
        return "main"
