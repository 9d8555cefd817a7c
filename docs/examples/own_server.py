"""A server of your own: what `understudy serve` is, with functions of this program."""

from functools import partial

import httpx
import trio
import trio.lowlevel

from understudy import ActorSystem
from understudy.actors.cast import start_cast
from understudy.actors.workers import Callables
from understudy.webui.server import serve_http

callables = Callables()


@callables.register
async def greet(name: str) -> str:
    await trio.lowlevel.checkpoint()
    return f"hello {name}"


async def ask_for_a_greeting(url: str) -> None:
    body = {
        "title": "a greeting",
        "executor": "python",
        "function": "greet",
        "arguments": {"name": "you"},
        "key": "greeting-1",
    }
    async with httpx.AsyncClient(base_url=url) as client:
        task = (await client.post("/api/tasks", json=body)).json()["id"]
        while (shown := (await client.get(f"/api/tasks/{task}")).json())["status"] in ("pending", "running"):
            await trio.sleep(0.02)
        print(shown["id"], shown["status"], shown["value"])


async def main() -> None:
    async with ActorSystem("desk") as system, trio.open_nursery() as nursery:
        await start_cast(system, callables=callables)
        url: str = await nursery.start(partial(serve_http, system, "127.0.0.1", 0))
        assert system.owned is not None
        system.owned.announce(url)  # so that the `understudy` commands find it
        await ask_for_a_greeting(url)  # a server would `await trio.sleep_forever()` here
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
