"""Which tasks the pool takes: executors and profiles, callables and their arguments, folders, time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from understudy.protocols.base import described, nearest
from understudy.protocols.errors import NotConfigured, TaskRefused, TooLongTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from understudy.actors.workers.config import PoolConfig
    from understudy.actors.workers.executor import Executor
    from understudy.actors.workers.workspaces import Workspaces
    from understudy.protocols.tasks import TaskSpec

PROFILES = ("deferred", "standard", "specialist")
"""Names that say what kind of work a task is; the configuration says which executor stands for each."""

BUILT_IN = ("shell", "python")
"""Executors that every pool has."""


def check_profiles(profiles: Mapping[str, str], executors: Iterable[str]) -> None:
    """Whether each profile stands for an executor that there is.

    Raises:
        NotConfigured: one does not; names those that there are.
    """
    known = sorted(executors)
    if wrong := {name: executor for name, executor in profiles.items() if executor not in known}:
        got = ", ".join(f"{name} = {executor!r}" for name, executor in wrong.items())
        raise NotConfigured(f"profiles: expected the names of executors ({', '.join(known)}), got {got}")


@runtime_checkable
class Checks(Protocol):
    """An executor that can tell beforehand that it can't carry out a task."""

    def check(self, spec: TaskSpec) -> None:
        """Raise a `TaskRefused` when it can't."""
        ...


class Admission:
    """The rules that a task is held against when it comes (WK-8). What it enforces is configuration.

    Args:
        executors: by name.
        workspaces: where tasks may work.
        config: profiles and time limits.

    Raises:
        NotConfigured: a profile names an executor that is not among them.
    """

    def __init__(self, executors: Mapping[str, Executor], workspaces: Workspaces, config: PoolConfig) -> None:
        check_profiles(config.profiles, executors)
        self._executors = executors
        self._profiles = config.profiles
        self._workspaces = workspaces
        self._checks = {name: one.check for name, one in executors.items() if isinstance(one, Checks)}
        self._max_timeout_s = config.max_timeout_s
        limits = [limit for limit in (config.default_timeout_s, config.max_timeout_s) if limit is not None]
        self._default_timeout_s = min(limits) if limits else None

    def admit(self, spec: TaskSpec) -> TaskSpec:
        """The task with the limits that hold for it.

        Raises:
            TaskRefused: it can't be carried out here; says what to do.
        """
        self.executor_of(spec)
        self._check(spec)
        if spec.workspace is not None:
            self._workspaces.resolve(spec.workspace)
        if spec.timeout_s is None:
            if self._default_timeout_s is None:
                return spec
            return spec.model_copy(update={"timeout_s": self._default_timeout_s})
        if self._max_timeout_s is not None and spec.timeout_s > self._max_timeout_s:
            msg = (
                f"expected a timeout of at most {self._max_timeout_s:g} s, got {spec.timeout_s:g} s: "
                "ask for less, or raise max_timeout_s in the configuration"
            )
            raise TooLongTimeout(msg)
        return spec

    def _check(self, spec: TaskSpec) -> None:
        """Have the executor look at the task."""
        check = self._checks.get(self._resolved(spec.executor))
        if check is None:
            return
        try:
            check(spec)
        except TaskRefused:
            raise
        except BaseException as error:
            msg = f"expected the executor {spec.executor!r} to check the task, got {described(error)}"
            raise TaskRefused(msg) from error

    def executor_of(self, spec: TaskSpec) -> Executor:
        """What carries out the task.

        Raises:
            NotConfigured: nothing does.
        """
        executor = self._executors.get(self._resolved(spec.executor))
        if executor is None:
            raise NotConfigured(self._advice(spec.executor))
        return executor

    def _resolved(self, name: str) -> str:
        return self._profiles.get(name, name)

    def _advice(self, name: str) -> str:
        known = nearest(name, {*self._executors, *self._profiles})
        if name in PROFILES or name in self._profiles:
            return (
                f"expected an executor for the profile {name!r}, got none: name one in the configuration "
                f'(profiles = {{"{name}": "shell"}}), or give one to start_cast(executors=...)'
            )
        return f"expected an executor that the pool has ({known}), got {name!r}"
