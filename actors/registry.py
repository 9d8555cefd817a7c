"""The cast: one line for each actor, in the order of their start (WK-5)."""

from __future__ import annotations

from typing import Any, NamedTuple

from understudy.actors.cron import CronActor
from understudy.actors.evolver import EvolverActor
from understudy.actors.manager import ManagerActor
from understudy.actors.notifier import NotifierActor
from understudy.actors.projection import FollowingFailed, ProjectionActor
from understudy.actors.workers import WorkerPoolActor
from understudy.supervision.persistent import PersistentActor


class Role(NamedTuple):
    """An actor of the cast: the name of its journal, its class, and what it does in a few words.

    A failure by one of `outages` is waited out with backoff, without end (see `ChildSpec`).
    """

    name: str
    actor: type[PersistentActor[Any]]
    about: str
    outages: tuple[type[Exception], ...] = ()


# Readers first, so that they miss nothing; then who decides; last who acts. The pool puts the tasks of
# a crash back and starts them when all who hear of them are there.
CAST: tuple[Role, ...] = (
    Role("projection", ProjectionActor, "one read model of all journals", outages=(FollowingFailed,)),
    Role("notifier", NotifierActor, "tells sessions and sinks how tasks ended"),
    Role("manager", ManagerActor, "answers inputs and results, through an engine"),
    Role("cron", CronActor, "fires schedules"),
    Role("workers", WorkerPoolActor, "carries out tasks"),
)

EVOLVER = Role("evolver", EvolverActor, "learns in idle windows; only when it is configured")
"""Started last, when `CastConfig.evolver` is set."""

ROLES: tuple[Role, ...] = (*CAST, EVOLVER)
"""Everybody whose journal a home of the cast may have."""
