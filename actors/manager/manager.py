"""The manager: takes what happens, has an engine answer it, carries the answer out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from understudy.actors.cron.times import find_zone
from understudy.actors.engines import OfflineEngine
from understudy.actors.manager import replies, texts
from understudy.actors.manager.attempt import Attempt
from understudy.actors.manager.desk import RunDesk
from understudy.actors.manager.policy import RunPolicy
from understudy.actors.manager.sessions import Sessions
from understudy.actors.manager.state import SHOWN_CHARACTERS, ManagerState, OpenInput, RunInFlight
from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    GetManagerStatus,
    GetRecentMessages,
    InputAccepted,
    InputReceived,
    ManagerStatus,
    NoticePosted,
    PersonaTaken,
    QueueCompacted,
    RecentMessages,
    RunFailed,
    RunGivenUp,
    RunPaused,
    RunStarted,
    RunSucceeded,
    SessionRebuilt,
    SubmitInput,
    TakePersona,
    TaskDoneReceived,
    WakeCronDue,
    WakeTaskDone,
)
from understudy.protocols.delivery import DeliveryFailed
from understudy.protocols.engine import (
    DoneTask,
    FailRun,
    FinishRun,
    HistoryMessage,
    Reply,
    RetryRun,
    Role,
    RunRequest,
    ScheduleToAdd,
    ScheduleToRemove,
    UserInput,
    Wake,
)
from understudy.protocols.errors import ActorStopped
from understudy.protocols.schedules import AddSchedule
from understudy.protocols.tasks import MAIN_SESSION, CreateTask, TaskResult
from understudy.supervision.persistent import PersistentActor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from understudy.actors.engines import Engine

log = logging.getLogger("understudy.manager")

COMPACTED_RECORDS = 100
"""A queue that is consumed to the end is compacted when it had at least so many records (S1)."""


class ManagerActor(PersistentActor[ManagerState]):
    """Single flight (MG-1): one run at a time, for a fixed batch of wake events.

    A wake event is a fact in the journal as soon as it is accepted (MG-2). When no run is in flight,
    all that wait become the batch of the next one. An engine is called in a background task, so that
    the mailbox stays open; what it answers, the actions and the consumption of the batch are one
    journal line (rule E1). Nothing here happens by itself: no wake event, no turn.

    A run begins with the first engine; an attempt that fails falls to the next one at once. When all
    have failed, they are all tried again after a pause that doubles up to a cap (MG-5).

    Args:
        engines: the chain; the offline engine when there is none, and only then.
        timezone: IANA name of the home's zone.
        policy: how often what fails is tried again, how long it may take, and what follows then.
        workers, cron: the actors that carry actions out.
    """

    def __init__(
        self,
        *,
        engines: Sequence[Engine] = (),
        timezone: str = "UTC",
        policy: RunPolicy | None = None,
        workers: str = "workers",
        cron: str = "cron",
    ) -> None:
        super().__init__()
        find_zone(timezone)
        self._engines = tuple(engines) or (OfflineEngine(),)
        names = [engine.name for engine in self._engines]
        if len(set(names)) < len(names):
            raise ValueError(f"expected engines of different names, got {', '.join(names)}")
        self._timezone = timezone
        self._policy = policy or RunPolicy()
        self._sessions = Sessions(self._policy.resume_timeout_s)
        self._workers = workers
        self._cron = cron

    def on_start(self) -> None:
        """Look for the engines' sessions; a run that was in flight goes on with the same events."""
        for engine in self._engines:
            if (session_id := self.state.sessions.get(engine.name)) is not None:
                self.start_task(self._resume, engine, session_id, name=f"resume {engine.name}")
        run = self.state.run
        if run is None:
            self._wake()
        elif run.retry_at is not None:
            self._retry_later(run)
        elif run.running and run.crashes >= self._policy.crashes:
            self._give_up(run, f"the runtime went down under it {run.crashes + 1} times")
        else:
            self._start(run)

    def on_stop(self) -> None:
        """A stop in order is not held against the run."""
        run = self.state.run
        if run is not None and run.running:
            self.emit(RunPaused(run=run.id, attempt=run.attempt))

    # -- wake events

    def submit_input(self, message: SubmitInput) -> InputAccepted:
        input_id = f"input-{self.state.next_input}"
        self.emit(InputReceived(input=UserInput(id=input_id, text=message.text, session=message.session)))
        self._wake()
        return InputAccepted(id=input_id)

    def wake_task_done(self, message: WakeTaskDone) -> None:
        self._take_result(message.result)

    def wake_cron_due(self, message: WakeCronDue) -> None:
        if self._is_news(message.due.id):
            self.emit(CronDueReceived(due=message.due))
            self._wake()

    def delivery_failed(self, message: DeliveryFailed) -> None:
        """An action was refused, or lost: whoever waits for what comes of it is told (rule E2)."""
        log.warning(
            "%s of %s: %s", message.message, message.actor, message.error, extra={"action": "action_refused"}
        )
        if message.message == CreateTask.kind:
            self._task_was_refused(CreateTask.model_validate_json(message.body), message.error)
        elif message.message == AddSchedule.kind:
            refused = AddSchedule.model_validate_json(message.body)
            text = texts.refused(f"{refused.id} ({refused.spec.title})", message.error)
            notice = Reply(text=text, role="system")
            self.emit(NoticePosted(messages=self._messages([notice], refused.spec.session)))

    def take_persona(self, message: TakePersona) -> None:
        self.emit(PersonaTaken(persona=message.persona))

    # -- what the attempt in flight reports

    def finish_run(self, message: FinishRun) -> None:
        if (run := self._in_flight(message.run, message.attempt)) is None:
            return
        batch = self._batch(run)
        settled = replies.settle(message.replies, message.actions, batch, self.state.inputs)
        settled += self._rebuild_session(run, message)
        settled += self._notices(run, message)
        self.emit(
            RunSucceeded(
                run=run.id,
                attempt=run.attempt,
                batch=run.batch,
                messages=self._messages(settled, replies.session_of(batch[0])),
                actions=message.actions,
                session_id=message.session_id,
                engine=run.engine,
                problems=message.problems,
            )
        )
        for action in message.actions:
            schedules = isinstance(action, ScheduleToAdd | ScheduleToRemove)
            self.send(self._cron if schedules else self._workers, action.message)
        self._compact_queues()
        self._wake()

    def fail_run(self, message: FailRun) -> None:
        if (run := self._in_flight(message.run, message.attempt)) is None:
            return
        log.warning(
            "%s/%d of %s failed: %s",
            run.id,
            run.attempt,
            run.engine,
            message.error,
            extra={"action": "run_failed"},
        )
        passes, engines_tried = divmod(run.failures + 1, len(self._engines))
        if engines_tried:
            self._fail(run, message.error)
            self._start(run)
        elif self._policy.gives_up(passes):
            self._give_up(run, message.error)
        else:
            text = texts.kept(message.error, self._policy.retry_cap_s)
            told = [Reply(text=text, role="system")] if passes == self._policy.failures else []
            retry_at = self.clock.time() + self._policy.pause_s(passes)
            self._fail(run, message.error, retry_at, told)
            self._retry_later(run)

    def retry_run(self, message: RetryRun) -> None:
        run = self.state.run
        if run is not None and (run.id, run.attempt) == (message.run, message.attempt) and not run.running:
            self._start(run)

    # -- reading

    def get_manager_status(self, _message: GetManagerStatus) -> ManagerStatus:
        state, run = self.state, self.state.run
        return ManagerStatus(
            run=run.id if run else None,
            attempt=run.attempt if run else 0,
            waiting=len(state.wakes) - (len(run.batch) if run else 0),
            open_inputs=len(state.inputs),
            engine=run.engine if run else None,
            error=run.error if run else "",
            retry_at=run.retry_at if run else None,
            answering=state.answering,
            inputs_cursor=state.inputs_queue.cursor,
            inputs_total=state.inputs_queue.total,
            results_cursor=state.results_queue.cursor,
            results_total=state.results_queue.total,
        )

    def get_recent_messages(self, _message: GetRecentMessages) -> RecentMessages:
        return RecentMessages(messages=tuple(self.state.recent), persona=self.state.persona)

    # -- events

    def input_received(self, event: InputReceived) -> None:
        state, one = self.state, event.input
        state.next_input += 1
        state.come(one)
        state.inputs[one.id] = OpenInput(session=one.session, text=one.text, at=self.turn_time)
        self._say(one.id, "user", one.text, one.session)

    def task_done_received(self, event: TaskDoneReceived) -> None:
        self.state.come(DoneTask(id=event.result.task, result=event.result))

    def cron_due_received(self, event: CronDueReceived) -> None:
        self.state.come(event.due)

    def run_started(self, event: RunStarted) -> None:
        run = self.state.run
        if run is None:
            self.state.next_run += 1
            self.state.run = RunInFlight(id=event.run, batch=event.batch, engine=event.engine)
            return
        if run.running:
            run.crashes += 1
        run.attempt, run.engine, run.running, run.retry_at = event.attempt, event.engine, True, None

    def run_failed(self, event: RunFailed) -> None:
        run = self.state.run
        assert run is not None
        run.failures += 1
        run.running, run.error, run.retry_at = False, event.error, event.retry_at
        self._said(event.messages)

    def run_paused(self, _event: RunPaused) -> None:
        assert self.state.run is not None
        self.state.run.running = False

    def session_rebuilt(self, event: SessionRebuilt) -> None:
        if event.new is None:
            self.state.sessions.pop(event.engine, None)
        else:
            self.state.sessions[event.engine] = event.new

    def run_succeeded(self, event: RunSucceeded) -> None:
        state = self.state
        batch = [state.wakes[name] for name in event.batch]
        pending = replies.pending_tasks(event.actions, batch, state.inputs)
        for name, tasks in pending.items():
            state.inputs[name].tasks = tasks
        if event.session_id is not None:
            state.sessions[event.engine] = event.session_id
        state.answering = event.engine
        self._consume(event.batch, event.messages)

    def run_given_up(self, event: RunGivenUp) -> None:
        batch = [self.state.wakes[name] for name in event.batch]
        for name, tasks in replies.pending_tasks((), batch, self.state.inputs).items():
            self.state.inputs[name].tasks = tasks
        self._consume(event.batch, event.messages)

    def queue_compacted(self, event: QueueCompacted) -> None:
        queue = self.state.inputs_queue if event.queue == "inputs" else self.state.results_queue
        queue.cursor = queue.total = 0

    def notice_posted(self, event: NoticePosted) -> None:
        self._said(event.messages)

    def persona_taken(self, event: PersonaTaken) -> None:
        self.state.persona = event.persona

    def _consume(self, batch: tuple[str, ...], messages: tuple[ConversationMessage, ...]) -> None:
        state = self.state
        state.run = None
        state.consume(batch)
        self._said(messages)
        for message in messages:
            for name in message.in_reply_to:
                state.inputs.pop(name, None)

    def _said(self, messages: tuple[ConversationMessage, ...]) -> None:
        self.state.next_message += len(messages)
        for one in messages:
            self._say(one.id, one.role, one.text, one.session, one.task)

    def _say(self, name: str, role: Role, text: str, session: str, task: str | None = None) -> None:
        shown = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        message = HistoryMessage(
            id=name, role=role, text=shown, at=self.turn_time, session=session, task=task
        )
        self.state.say(message)

    # -- runs

    def _wake(self) -> None:
        """The one entrance: start a run when none is in flight and something waits."""
        if self.state.run is None and self.state.wakes:
            run_id, batch = f"run-{self.state.next_run}", tuple(self.state.wakes)
            self.emit(RunStarted(run=run_id, attempt=1, batch=batch, engine=self._engines[0].name))
            self._launch()

    def _start(self, run: RunInFlight) -> None:
        """The next attempt at the run, by the engine whose turn it is."""
        engine = self._engine_of(run).name
        self.emit(RunStarted(run=run.id, attempt=run.attempt + 1, batch=run.batch, engine=engine))
        self._launch()

    def _launch(self) -> None:
        run = self.state.run
        assert run is not None
        engine = self._engine_of(run)
        request = RunRequest(
            run=run.id,
            attempt=run.attempt,
            batch=self._batch(run),
            now=self.clock.time(),
            timezone=self._timezone,
            session_id=self.state.sessions.get(engine.name),
            history=tuple(one for one in self.state.recent if one.id not in self.state.wakes),
            persona=self.state.persona,
        )
        attempt = Attempt(
            engine,
            request,
            RunDesk(self.system, request, workers=self._workers, cron=self._cron),
            self._sessions,
            rounds=self._policy.correction_rounds,
            timeout_s=self._policy.run_timeout_s,
        )
        self.start_task(self._carry_out, attempt, name=f"{run.id}/{run.attempt}")

    async def _carry_out(self, attempt: Attempt) -> None:
        """In the background: report what came of the attempt, under its token."""
        report = await attempt.carry_out()
        try:
            await self.ref.tell_async(report)
        except ActorStopped:
            log.debug("%s ended after the manager", report.run, extra={"action": "run_late"})

    async def _resume(self, engine: Engine, session_id: str) -> None:
        """In the background: a run need not wait for it then."""
        await self._sessions.usable(engine, session_id)

    def _fail(
        self, run: RunInFlight, error: str, retry_at: float | None = None, notices: Sequence[Reply] = ()
    ) -> None:
        session = replies.session_of(self.state.wakes[run.batch[0]])
        self.emit(
            RunFailed(
                run=run.id,
                attempt=run.attempt,
                error=error,
                retry_at=retry_at,
                engine=run.engine,
                messages=self._messages(notices, session),
            )
        )

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
        self._compact_queues()
        self._wake()

    def _rebuild_session(self, run: RunInFlight, message: FinishRun) -> list[Reply]:
        """Note that the engine has another session than the one that was kept (MG-3)."""
        old = self.state.sessions.get(run.engine)
        if old is None or message.session_id == old:
            return []
        reason = message.rebuilt or "it began another one by itself"
        self.emit(SessionRebuilt(engine=run.engine, old=old, new=message.session_id, reason=reason))
        return [Reply(text=texts.session_rebuilt(run.engine, reason), role="system")]

    def _notices(self, run: RunInFlight, message: FinishRun) -> list[Reply]:
        """What the system has to say about a run that succeeded."""
        notices: list[Reply] = []
        if message.problems:
            notices.append(Reply(text=texts.dropped(message.problems), role="system"))
        last = self.state.answering or self._engines[0].name
        if run.engine != last:
            text = texts.engine_changed(last, run.engine, run.error)
            notices.append(Reply(text=text, role="system"))
        return notices

    def _compact_queues(self) -> None:
        """After a batch: a queue that is consumed to the end begins anew (JR-5)."""
        for name in ("inputs", "results"):
            queue = self.state.inputs_queue if name == "inputs" else self.state.results_queue
            if queue.cursor == queue.total >= COMPACTED_RECORDS:
                self.emit(QueueCompacted(queue=name, records=queue.total))
                self.compact()

    # -- small questions

    def _take_result(self, result: TaskResult) -> None:
        if self._is_news(result.task):
            self.emit(TaskDoneReceived(result=result))
            self._wake()

    def _is_news(self, wake_id: str) -> bool:
        """Whether this wake event has not come before: one that comes twice is consumed once (MG-2)."""
        if self.state.knows(wake_id):
            log.warning("%s has come before", wake_id, extra={"action": "wake_again"})
            return False
        return True

    def _task_was_refused(self, refused: CreateTask, error: str) -> None:
        """The pool did not take a task that this manager promised: that is how it ended."""
        if refused.id is None:
            return
        spec = refused.spec
        self._take_result(
            TaskResult(
                task=refused.id,
                title=spec.title,
                status="failed",
                attempt=0,
                reason=texts.not_taken(error),
                source="runtime",
                session=spec.session,
                origin=spec.origin,
                schedule=spec.schedule,
            )
        )

    def _engine_of(self, run: RunInFlight) -> Engine:
        """Whose turn it is: each failure is the next one's."""
        return self._engines[run.failures % len(self._engines)]

    def _in_flight(self, run_id: str, attempt: int) -> RunInFlight | None:
        """The run, if this is its live attempt; a late report of another is dropped (rule E1)."""
        run = self.state.run
        if run is None or not run.running or (run.id, run.attempt) != (run_id, attempt):
            log.info("late report of %s/%d dropped", run_id, attempt, extra={"action": "run_stale"})
            return None
        return run

    def _batch(self, run: RunInFlight) -> tuple[Wake, ...]:
        return tuple(self.state.wakes[name] for name in run.batch)

    def _messages(
        self, said: Iterable[Reply], session: str = MAIN_SESSION
    ) -> tuple[ConversationMessage, ...]:
        """As they are journaled; what answers no input and is about no task belongs to `session`."""
        first = self.state.next_message
        return tuple(
            ConversationMessage(
                id=f"msg-{first + index}",
                role=reply.role,
                text=reply.text,
                in_reply_to=reply.in_reply_to,
                task=reply.task,
                session=self._session(reply, session),
            )
            for index, reply in enumerate(said)
        )

    def _session(self, reply: Reply, default: str) -> str:
        for name in reply.in_reply_to:
            return self.state.inputs[name].session
        about = self.state.wakes.get(reply.task or "")
        return about.result.session if isinstance(about, DoneTask) else default
