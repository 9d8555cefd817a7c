"""The load of a storm: clients that send inputs and tasks, and insist until they are acknowledged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import trio

from tests.faults.storm_journals import Effects
from tests.faults.storm_server import Server

ACCEPTED = 202
RETRIED = {500, 502, 503, 504}
INPUT = "/api/input"
TASKS = "/api/tasks"
OPEN_WORK = 24
Kind = Literal["text", "run", "task", "at", "cancel"]
KINDS: tuple[Kind, ...] = ("text", "text", "run", "run", "run", "task", "task", "task", "at", "cancel")
LONG_S = 100.0
STRAYS = 0.2


@dataclass
class Request:
    """Something that one client wants done once.

    Attributes:
        key: the idempotency key, the same with every try.
        kind: an input that is only `text`, or asks to `run` a command, or to run it `at` a time; a
            `task`, or one that would take long and that its client is to `cancel`.
        label: a word that occurs nowhere else; the command writes it down when it runs.
        id: what the server named it, when it was acknowledged.
    """

    key: str
    kind: Kind
    label: str
    path: str
    body: Mapping[str, Any]
    id: str | None = None
    tries: int = 0

    @property
    def is_input(self) -> bool:
        """Whether it is for the manager, which replies; else for the pool."""
        return self.path == INPUT


class Load:
    """Several clients that each send one request after the other.

    Attributes:
        requests: all that were made, by key.
        on_the_wire: how many are sent and not answered right now.
        faults: what must not happen, in sentences.
        answers: how often each outcome of a try was seen.
    """

    def __init__(self, server: Server, effects: Effects, seed: int) -> None:
        self.requests: dict[str, Request] = {}
        self.on_the_wire = 0
        self.faults: list[str] = []
        self.answers: Counter[str] = Counter()
        self._server = server
        self._effects = effects
        self._seed = seed
        self._canceled: set[str] = set()
        self._stopping = False

    async def run(self, clients: int) -> None:
        """Send until `stop`, then until all that was sent is acknowledged."""
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(self._client, number)

    def stop(self) -> None:
        """Make no new requests."""
        self._stopping = True

    @property
    def acknowledged(self) -> list[Request]:
        """Those that the server took responsibility for."""
        return [request for request in self.requests.values() if request.id is not None]

    def open_work(self) -> int:
        """How many commands were acknowledged and have not come to their end."""
        self._effects.look()
        done = {label for label, _ in self._effects.of("end")} | self._canceled
        return sum(one.kind != "text" and one.label not in done for one in self.acknowledged)

    def unfired(self) -> int:
        """How many commands with a time of their own have not been run."""
        self._effects.look()
        fired = {label for label, _ in self._effects.of("start")}
        return sum(one.kind == "at" and one.label not in fired for one in self.acknowledged)

    async def _client(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        async with httpx.AsyncClient(timeout=10.0, limits=httpx.Limits(max_keepalive_connections=0)) as http:
            count = 0
            while not self._stopping:
                count += 1
                kind = chance.choice(KINDS) if self.open_work() < OPEN_WORK else "text"
                await self._carry_through(http, self._make(kind, f"c{number}n{count}", chance))
                if chance.random() < 0.1:
                    await self._insist(http, chance.choice(self.acknowledged))
                await trio.sleep(chance.uniform(0.0, 0.1))

    def _make(self, kind: Kind, label: str, chance: random.Random) -> Request:
        duration_s = LONG_S if kind == "cancel" else chance.choice((0.0, 0.05, 0.3, 1.0))
        strays = chance.random() < STRAYS
        command = (self._effects.command_of_strays if strays else self._effects.command)(label, duration_s)
        match kind:
            case "text":
                path, body = INPUT, {"text": f"hello {label}"}
            case "run":
                path, body = INPUT, {"text": f"/run {command}"}
            case "at":
                path, body = INPUT, {"text": f"/at +{chance.choice((1, 2))}s {command}"}
            case "task" | "cancel":
                path, body = TASKS, {"title": label, "command": ["/bin/sh", "-c", command]}
        key = f"{self._seed}-{label}"
        request = Request(key=key, kind=kind, label=label, path=path, body={**body, "key": key})
        self.requests[key] = request
        return request

    async def _carry_through(self, http: httpx.AsyncClient, request: Request) -> None:
        """Send it, and cancel it where that is its kind, until each is acknowledged."""
        await self._insist(http, request)
        if request.kind == "cancel" and request.id is not None:
            await trio.sleep(0.05)
            await self._post(http, f"{TASKS}/{request.id}/cancel", {})
            self._canceled.add(request.label)

    async def _insist(self, http: httpx.AsyncClient, request: Request) -> None:
        """Send it, with the same key, until it is acknowledged."""
        answer = await self._post(http, request.path, request.body, request)
        if answer is not None:
            self._acknowledge(request, str(answer["id"]))

    async def _post(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, Any], request: Request | None = None
    ) -> Mapping[str, Any] | None:
        """The answer, as soon as one comes; None when the server refuses, which is a fault."""
        while True:
            address = await self._server.wait_until_up()
            if request is not None:
                request.tries += 1
            self.on_the_wire += 1
            try:
                answer = await http.post(address + path, json=body)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                await trio.sleep(0.02)
                continue
            finally:
                self.on_the_wire -= 1
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == ACCEPTED:
                return answer.json()
            if answer.status_code not in RETRIED:
                self.faults.append(f"{path} {body}: {answer.status_code} {answer.text}")
                return None
            await trio.sleep(0.05)

    def _acknowledge(self, request: Request, name: str) -> None:
        if request.id is not None and request.id != name:
            self.faults.append(f"{request.key} was acknowledged as {request.id}, and again as {name}")
        request.id = name

    async def repeat_some(self, server: Server, chance: random.Random, count: int = 10) -> None:
        """Ask some keys again of a recovered server: the answers are the first ones (JR-4)."""
        address = await server.wait_until_up()
        known = self.acknowledged
        async with httpx.AsyncClient(timeout=10.0) as http:
            for request in chance.sample(known, min(count, len(known))):
                answer = await http.post(address + request.path, json=request.body)
                if answer.status_code != ACCEPTED:
                    self.faults.append(f"{request.key} after a recovery: {answer.status_code} {answer.text}")
                else:
                    self._acknowledge(request, str(answer.json()["id"]))
