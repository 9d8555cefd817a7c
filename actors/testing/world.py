"""The world of the cast: people who say and want things, tasks, schedules, and what goes wrong outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio

from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.notifier.sinks import CallbackConfig
from understudy.actors.projection import Unavailable
from understudy.actors.testing.deliveries import check_deliveries
from understudy.actors.testing.facts import check_facts
from understudy.actors.testing.firings import check_firings
from understudy.actors.testing.rebuilt import check_read_model, wait_until_level
from understudy.actors.testing.scripted import (
    FailingEngine,
    FailingReceiver,
    ScriptedCall,
    ScriptedCommands,
)
from understudy.protocols.conversation import GetManagerStatus, SubmitInput
from understudy.protocols.errors import Refused, UnderstudyError
from understudy.protocols.notifications import ListDeliveries, RetryDeliveries
from understudy.protocols.schedules import (
    AddSchedule,
    DisableSchedule,
    EnableSchedule,
    RemoveSchedule,
    ScheduleSpec,
)
from understudy.protocols.tasks import CancelTask, CreateTask, ListTasks, TaskSpec
from understudy.supervision.testing.clock import VirtualClock

if TYPE_CHECKING:
    from random import Random

    from understudy.protocols import Message
    from understudy.supervision.system import ActorSystem
    from understudy.supervision.testing.lines import Lines

ZONES = ("UTC", "Europe/Zurich", "Australia/Lord_Howe", "America/New_York")
WHATS = ("ok", "ok", "ok", "fail", "sometimes", "slow", "hang", "huge")
CRONS = ("*/5 * * * *", "0 * * * *", "*/20 * * * *", "30 2 * * *", "7 */2 * * *")
ATTEMPTS = 3
"""At a delivery: so few that there are dead letters."""
REST_S = 60.0


class CastWorld:
    """See the module. What is asked has a key, and is asked again until there is an answer."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._commands = ScriptedCommands(chance)
        self._call = ScriptedCall(chance)
        self._receiver = FailingReceiver(chance)
        self._kept = chance.choice((5, 20_000))
        self._system: ActorSystem | None = None
        self._open: dict[str, tuple[str, Message[Any]]] = {}
        self._answers: dict[str, tuple[str, Message[Any], Any]] = {}
        self._asked = 0

    # -- life

    async def start(self, system: ActorSystem) -> None:
        """Start the cast, and wait until the projection has read everything."""
        self._system = system
        sink = CallbackConfig(name="callback", function=self._receiver, attempts=ATTEMPTS, retry_delay_s=1)
        config = CastConfig(
            timezone="Europe/Zurich",
            concurrency=3,
            messages_kept=self._kept,
            sinks=(sink,),
        )
        await start_cast(
            system,
            config,
            engines=(FailingEngine("first", self._chance, 0.3), FailingEngine("second", self._chance, 0.1)),
            callables={"call": self._call.call},
            executors={"shell": self._commands},
        )
        await self._level(system)

    async def live(self, system: ActorSystem) -> None:
        """Ask for something now and then, and again for what has no answer."""
        async with trio.open_nursery() as nursery:
            for key in [*self._open]:
                nursery.start_soon(self._ask, system, key)
            while True:
                await trio.sleep(self._chance.expovariate(1 / 45.0))
                self._asked += 1
                key = f"ask-{self._asked}"
                self._open[key] = self._something(system.clock.time())
                nursery.start_soon(self._ask, system, key)

    async def _ask(self, system: ActorSystem, key: str) -> None:
        """Ask once; also what has been answered is asked again at times."""
        to, message = self._open[key] if key in self._open else self._answers[key][:2]
        try:
            answer: Any = await system.get(to).ask_async(message, key=key, timeout_s=30)
        except Refused as refusal:
            answer = f"refused: {refusal}"
        except (UnderstudyError, OSError):
            return
        self._open.pop(key, None)
        before = self._answers.setdefault(key, (to, message, answer))
        assert before[2] == answer, f"{key}: the answer was {before[2]}, and is {answer} now"
        if self._chance.random() < 0.1:  # noqa: PLR2004 - one in ten asks again
            await self._ask(system, key)

    def _something(self, now: float) -> tuple[str, Message[Any]]:
        choices = ("say", "say", "run", "task", "task", "schedule", "end", "end", "revive")
        choice = self._chance.choice(choices)
        what = self._chance.choice(WHATS)
        if choice == "say":
            said = self._chance.choice(
                ("hello", "/tasks", "/help", f"/run {what}", "/cancel task-1", "/at +5m ok")
            )
            return "manager", SubmitInput(text=said)
        if choice == "run":
            return "manager", SubmitInput(text=f"/run {what}")
        if choice == "task":
            return "workers", CreateTask(spec=self._task(what, now))
        if choice == "schedule":
            return "cron", AddSchedule(spec=self._schedule())
        return ("notifier", RetryDeliveries()) if choice == "revive" else self._end_of_something()

    def _end_of_something(self) -> tuple[str, Message[Any]]:
        number = self._chance.randint(1, 1 + self._asked)
        if self._chance.random() < 0.7:  # noqa: PLR2004
            return "workers", CancelTask(id=f"task-{number}", source="user", reason="changed my mind")
        kind = self._chance.choice((RemoveSchedule, DisableSchedule, EnableSchedule))
        return "cron", kind(id=f"sched-{self._chance.randint(1, 12)}")

    def _task(self, what: str, now: float) -> TaskSpec:
        chance = self._chance
        called = chance.random() < 0.2  # noqa: PLR2004 - one in five
        return TaskSpec(
            title=what,
            command=() if called else ("do", what),
            executor="python" if called else "shell",
            function="call" if called else "",
            arguments=json.dumps({"what": what}) if called else "{}",
            timeout_s=120 if what == "hang" else chance.choice((None, 600.0)),
            retries=chance.choice((0, 0, 2)),
            priority=chance.choice((0, 0, 5)),
            start_at=chance.choice((None, None, now + 300)),
            fingerprint=chance.choice((None, None, "one")),
            replace_key=chance.choice((None, None, "newest")),
        )

    def _schedule(self) -> ScheduleSpec:
        chance = self._chance
        reminder = chance.random() < 0.3  # noqa: PLR2004
        return ScheduleSpec(
            title="again",
            cron=chance.choice(CRONS),
            timezone=chance.choice(ZONES),
            kind="reminder" if reminder else "background",
            command=() if reminder else ("do", chance.choice(("ok", "fail", "slow"))),
            misfire=chance.choice(("skip", "once", "all")),
            overlap=chance.choice(("allow", "forbid", "replace")),
            timeout_s=None if reminder else 1800.0,
            jitter_s=chance.choice((0.0, 0.0, 30.0)),
        )

    # -- the end

    async def settle(self, system: ActorSystem) -> None:
        """Get every answer, end what hangs and every schedule, and wait until nothing is under way."""
        while self._open:
            for key in [*self._open]:
                await self._ask(system, key)
        for number in range(1, 500):
            try:
                await system.get("cron").ask_async(RemoveSchedule(id=f"sched-{number}"), timeout_s=30)
            except Refused:
                continue
        while not await self._at_rest(system):
            tasks = await system.get("workers").ask_async(ListTasks(limit=1000), timeout_s=30)
            for task in tasks.tasks:
                if task.status in ("pending", "running"):
                    try:
                        await system.get("workers").ask_async(
                            CancelTask(id=task.id, source="user", reason="the end"), timeout_s=30
                        )
                    except Refused:
                        continue
            await trio.sleep(REST_S)
        await trio.sleep(REST_S)
        await self._level(system)

    async def _level(self, system: ActorSystem) -> None:
        """Raises `Unavailable` when the projection does not come that far: the disk may have crashed."""
        if not await wait_until_level(system):
            msg = "expected the read model to be level, got one that is behind"
            raise Unavailable(msg)

    async def _at_rest(self, system: ActorSystem) -> bool:
        tasks = await system.get("workers").ask_async(ListTasks(limit=1), timeout_s=30)
        manager = await system.get("manager").ask_async(GetManagerStatus(), timeout_s=30)
        told = await system.get("notifier").ask_async(ListDeliveries(limit=1), timeout_s=30)
        answering = manager.run or manager.waiting or manager.open_inputs
        return not (tasks.pending or tasks.running or answering or told.queued)

    # -- what must hold

    def check(self, journals: dict[str, Lines], *, settled: bool) -> None:
        """See `facts`, `deliveries`, `firings` and `rebuilt`."""
        assert self._system is not None
        clock = self._system.clock
        assert isinstance(clock, VirtualClock)
        events = {name: [*lines.events()] for name, lines in journals.items()}
        finished = check_facts(events, settled=settled)
        taken = self._receiver.taken
        check_deliveries(events.get("notifier", []), finished, taken, attempts=ATTEMPTS, settled=settled)
        check_firings(journals, now=clock.time(), jumps=clock.jumps, settled=settled)
        check_read_model(self._system, journals)
        self._check_answers(journals)

    def _check_answers(self, journals: dict[str, Lines]) -> None:
        """What was promised to whoever asked is in the journals."""
        made: dict[str, set[str]] = {"manager": set(), "workers": set(), "cron": set()}
        for name, kinds in (
            ("manager", "InputReceived"),
            ("workers", "TaskCreated"),
            ("cron", "ScheduleAdded"),
        ):
            for kind, data in journals[name].events() if name in journals else ():
                if kind == kinds:
                    made[name].add(data["input"]["id"] if name == "manager" else data["id"])
        for key, (to, message, answer) in self._answers.items():
            if isinstance(message, SubmitInput | CreateTask | AddSchedule) and not isinstance(answer, str):
                assert answer.id in made[to], f"{key}: {answer.id} was promised, and is not in {to}'s journal"
