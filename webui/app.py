"""The app: the API's routes and the page behind the guard."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import trio
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from understudy.webui import problems
from understudy.webui.context import Context
from understudy.webui.guard import Guard
from understudy.webui.openapi import describe
from understudy.webui.routes import conversation, events, journals, notifications, schedules, system, tasks
from understudy.webui.static_files import STATIC

if TYPE_CHECKING:
    from understudy.supervision.system import ActorSystem

DESCRIPTION = """
Loopback only. Bodies are JSON, errors are `application/problem+json`. What answers 202 is durable.
Lists are newest first; `next` is the `cursor` of the page that follows.
"""


def make_app(actors: ActorSystem, stopping: trio.Event) -> FastAPI:
    """The ASGI app of one system.

    Args:
        actors: the system, with the cast in it.
        stopping: ends the event streams when it is set.
    """
    app = FastAPI(
        title="Understudy",
        version=version("understudy"),
        description=DESCRIPTION.strip(),
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = Context(actors)
    app.state.stopping = stopping
    problems.install(app)
    app.add_middleware(Guard)
    for room in (conversation, tasks, schedules, notifications, journals, system, events):
        app.include_router(room.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = partial(describe, app)
    return app
