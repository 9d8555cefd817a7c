"""The cast under its supervisor: how `serve` starts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from understudy.actors.cron.machine import machine_zone
from understudy.actors.cron.times import find_zone
from understudy.actors.evolver import EvolverPolicy
from understudy.actors.manager import RunPolicy
from understudy.actors.notifier import SinkConfig, check_files
from understudy.actors.projection.keeper import FOLDER
from understudy.actors.projection.model import Kept
from understudy.actors.projection.model_file import checkpoint_cursors
from understudy.actors.registry import CAST, EVOLVER, ROLES, Role
from understudy.actors.workers.admission import BUILT_IN, check_profiles
from understudy.actors.workers.config import PoolConfig
from understudy.protocols.errors import Refused
from understudy.protocols.tasks import FILE_BYTES, Variable
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Strategy
from understudy.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from understudy.actors.engines import Engine
    from understudy.actors.workers.executor import Executor
    from understudy.actors.workers.registration import Registered
    from understudy.protocols.lifecycle import Problem
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.system import ActorSystem

STOP_TIMEOUT_S = 20.0
"""Time for the pool to end its processes: politely, then not."""


class CastConfig(BaseModel):
    """How the cast runs. All times in seconds.

    Attributes:
        timezone: IANA name of the home's zone: schedules without one, `/at 18:00`, the history's days.
        concurrency: attempts at once.
        queue_limits: attempts at once of a queue, by its name: `{"web": 4}`.
        profiles: which executor stands for a profile: `{"standard": "shell"}`.
        workspaces: folders below which tasks may work, besides `work/` in the home.
        environment: variables of this process that commands get, besides PATH, HOME, LANG and their like.
        default_timeout_s: time limit of an attempt whose task names none.
        max_timeout_s: no task may ask for more.
        output_file_bytes: so much of an attempt's output is kept in its file.
        grace_s: how long a canceled or overdue command has between SIGTERM and SIGKILL.
        reruns: how often a task is run again because the runtime crashed under it.
        tasks_kept: finished tasks that are remembered, with how they ended; the oldest are forgotten first.
        messages_kept: the same for messages of the conversation; all are in `history/`.
        runs: how runs of the manager are tried, and what follows when all engines fail.
        evolver: when the evolver may work; None for no evolver.
        sinks: where to tell how tasks ended, besides their sessions (NT-2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str = Field(default_factory=machine_zone)
    concurrency: int = Field(default=4, ge=1, le=1000)
    queue_limits: dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(default={})
    profiles: dict[str, str] = Field(default={})
    workspaces: tuple[Path, ...] = ()
    environment: tuple[Variable, ...] = ()
    default_timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    output_file_bytes: int = Field(default=FILE_BYTES, ge=0)
    grace_s: float = Field(default=5.0, ge=0)
    reruns: int = Field(default=5, ge=0)
    tasks_kept: int = Field(default=100_000, ge=1)
    messages_kept: int = Field(default=20_000, ge=1)
    runs: RunPolicy = RunPolicy()
    evolver: EvolverPolicy | None = None
    sinks: tuple[SinkConfig, ...] = ()

    @field_validator("sinks")
    @classmethod
    def _are_of_different_names(cls, sinks: tuple[SinkConfig, ...]) -> tuple[SinkConfig, ...]:
        names = [sink.name for sink in sinks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"expected sinks of different names, got several {', '.join(sorted(twice))}")
        return sinks

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            find_zone(name)
        except Refused as error:
            raise ValueError(str(error)) from None
        return name

    def arguments(self) -> dict[str, dict[str, Any]]:
        """What each actor of the cast is made with, by name."""
        return {
            "projection": {
                "timezone": self.timezone,
                "kept": Kept(tasks=self.tasks_kept, messages=self.messages_kept),
            },
            "notifier": {"sinks": self.sinks},
            "manager": {"timezone": self.timezone, "policy": self.runs},
            "cron": {"timezone": self.timezone},
            "workers": {
                "limit": self.concurrency,
                "grace_s": self.grace_s,
                "reruns": self.reruns,
                "config": PoolConfig(
                    queue_limits=self.queue_limits,
                    profiles=self.profiles,
                    workspaces=self.workspaces,
                    environment=self.environment,
                    default_timeout_s=self.default_timeout_s,
                    max_timeout_s=self.max_timeout_s,
                    output_file_bytes=self.output_file_bytes,
                    tasks_kept=self.tasks_kept,
                    timezone=self.timezone,
                ),
            },
        }


async def start_cast(
    system: ActorSystem,
    config: CastConfig | None = None,
    *,
    engines: Sequence[Engine] = (),
    callables: Mapping[str, Callable[..., Any] | Registered] | None = None,
    executors: Mapping[str, Executor] | None = None,
    problems: Sequence[Problem] = (),
) -> ActorRef[Supervisor]:
    """Start the cast under a supervisor named `cast`; returns when each is recovered.

    One whose journal is damaged or can't be written is left alone, and the others run.

    Args:
        system: where.
        config: how.
        engines: the manager's chain, the main one first. The offline engine is in it when it is named,
            and answers alone when the chain is empty; never otherwise.
        callables: what tasks of the executor `python` may call, by name: a `Callables`, or a mapping.
        executors: further executors of tasks, by name; one named as a profile stands for it.
        problems: sinks of the configuration that can't be used now: shown, and what waits for them is kept.

    Raises:
        NotConfigured: a profile names an executor that there is not. Nothing was started.
        ValueError: a sink's file is in a folder of the home that is not for it. Nothing was started.
        Escalated: an actor failed at its start again and again.
        NameTaken: the system has an actor of one of these names.
    """
    config = config or CastConfig()
    check_profiles(config.profiles, {*BUILT_IN, *(executors or {})})
    if (home := system.home) is not None:
        check_files(home, config.sinks)
        for cursor in await system.run_blocking(checkpoint_cursors, home.files, home.state / FOLDER):
            system.prove(cursor.journal, cursor.incarnation, cursor.seq)
    arguments = config.arguments()
    arguments["manager"]["engines"] = tuple(engines)
    arguments["notifier"]["problems"] = tuple(problems)
    arguments["workers"] |= {"callables": callables, "executors": executors}
    roles = CAST
    if config.evolver is not None:
        roles = ROLES
        arguments[EVOLVER.name] = {"engines": tuple(engines), "policy": config.evolver}
    children = tuple(_child(role, arguments.get(role.name, {})) for role in roles)
    return await system.spawn(
        Supervisor, name="cast", children=children, strategy=Strategy.ONE_FOR_ONE, intensity=5, period_s=30.0
    )


def _child(role: Role, arguments: dict[str, Any]) -> ChildSpec:
    return ChildSpec(
        name=role.name,
        actor=role.actor,
        arguments=arguments,
        stop_timeout_s=STOP_TIMEOUT_S,
        outages=role.outages,
    )
