"""The offline engine: fixed rules, no model, so that the whole system runs on a fresh machine (EN-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from understudy.actors.cron import times
from understudy.actors.engines import commands
from understudy.actors.engines.results import describe_due, describe_result
from understudy.protocols.engine import DoneTask, DueSchedule, Reply, RunAnswer, UserInput
from understudy.protocols.errors import ActorBlocked, ActorHalted, Refused
from understudy.protocols.schedules import ScheduleSpec
from understudy.protocols.tasks import FINAL, TaskSpec

if TYPE_CHECKING:
    from understudy.actors.engines.engine import Desk
    from understudy.protocols.engine import RunRequest, Wake

TITLE_CHARACTERS = 80
LISTED = 20


class OfflineEngine:
    """Understands the commands of `commands.HELP`; each wake event gets a reply of its own.

    `/run` proposes a task and says nothing yet: the reply to that input is the one with the outcome.
    """

    name = "offline"

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """One reply for each event, in their order; never fails for what an input says."""
        replies = [reply for wake in request.batch if (reply := await self._answer(wake, request, desk))]
        return RunAnswer(replies=tuple(replies))

    async def _answer(self, wake: Wake, request: RunRequest, desk: Desk) -> Reply | None:
        match wake:
            case UserInput():
                text = await self._say(wake, request, desk)
                return None if text is None else Reply(text=text, in_reply_to=(wake.id,))
            case DoneTask():
                origin = wake.result.origin
                return Reply(
                    text=describe_result(wake.result),
                    in_reply_to=() if origin is None else (origin,),
                    task=wake.result.task,
                )
            case DueSchedule():
                return Reply(text=describe_due(wake))

    async def _say(self, wake: UserInput, request: RunRequest, desk: Desk) -> str | None:
        """The reply to an input; None when it comes with a task's result."""
        try:
            return await self._obey(commands.parse(wake.text), wake, request, desk)
        except Refused as error:
            return str(error)
        except (ActorBlocked, ActorHalted) as error:  # a person has to act: it would fail again till then
            return f"This could not be handled: {error}. It is not tried again; send it anew."
        except ValidationError as error:
            return "; ".join(str(one["msg"]) for one in error.errors())

    async def _obey(
        self, command: commands.Command, wake: UserInput, request: RunRequest, desk: Desk
    ) -> str | None:
        zone = ZoneInfo(request.timezone)
        match command:
            case commands.Run(line):
                title, words = _title(line), _shell(line)
                spec = TaskSpec(title=title, command=words, origin=wake.id, session=wake.session)
                await desk.create_task(spec)
                text = None
            case commands.Every() | commands.At():
                text = await self._schedule(_schedule_spec(command, wake, zone, request.now), zone, desk)
            case commands.Cancel(name):
                text = await self._cancel(name, desk)
            case commands.Tasks():
                text = await self._list(zone, desk)
            case commands.Help():
                text = commands.HELP
            case commands.Talk(said):
                text = f"You said: {_title(said)}\nNo model is configured; /help lists what I understand."
        return text

    async def _schedule(self, spec: ScheduleSpec, zone: ZoneInfo, desk: Desk) -> str:
        schedule_id, runs = await desk.add_schedule(spec)
        due = ", ".join(times.show(moment, zone) for moment in runs)
        return f"{schedule_id} is set: {spec.title}\nDue {due}{' and so on' if spec.cron else ''}."

    async def _cancel(self, name: str, desk: Desk) -> str:
        if any(one.id == name for one in await desk.schedules()):
            await desk.remove_schedule(name)
            return f"{name} is removed."
        task = await desk.task(name)
        if task is None:
            return f"There is no task or schedule {name!r}; /tasks lists them."
        if task.status in FINAL:
            return (
                f"{name} has already {task.status}." if task.status != "canceled" else f"{name} is canceled."
            )
        await desk.cancel_task(name, "canceled by the user")
        return f"{name} is being canceled."

    async def _list(self, zone: ZoneInfo, desk: Desk) -> str:
        tasks, schedules = await desk.tasks(LISTED), await desk.schedules()
        lines = [f"{one.id}  {one.status}  {one.title}" for one in tasks]
        for one in schedules:
            due = times.show(one.next_runs[0], zone) if one.next_runs else one.status
            lines.append(f"{one.id}  {due}  {one.spec.cron or 'once'}  {one.spec.title}")
        return "\n".join(lines) or "No tasks and no schedules."


def _schedule_spec(
    command: commands.Every | commands.At, wake: UserInput, zone: ZoneInfo, now: float
) -> ScheduleSpec:
    at = commands.moment(command.when, zone, now) if isinstance(command, commands.At) else None
    return ScheduleSpec(
        title=_title(command.command),
        command=_shell(command.command),
        cron=command.cron if isinstance(command, commands.Every) else None,
        at=at,
        origin=wake.id,
        session=wake.session,
    )


def _shell(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)


def _title(line: str) -> str:
    first = line.strip().partition("\n")[0]
    return first if len(first) <= TITLE_CHARACTERS else first[: TITLE_CHARACTERS - 1] + "…"
