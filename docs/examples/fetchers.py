"""A supervisor of two fetchers, one of which fails."""

import trio

from understudy import Actor, ActorSystem, Backoff, ChildSpec, Message, Restart, Strategy, Supervisor


class Fetch(Message[str]):
    url: str


class EngineAway(Exception):
    """Nobody listens at the engine's address."""


class Fetcher(Actor):
    def __init__(self, *, engine: str) -> None:
        super().__init__()
        self.engine = engine

    def fetch(self, message: Fetch) -> str:
        if not message.url:
            raise ValueError("expected an address")  # unexpected: the asker gets it, and the actor fails
        return f"{message.url} by {self.engine}"


async def main() -> None:
    async with ActorSystem() as system:
        await system.spawn(
            Supervisor,
            name="fetchers",
            strategy=Strategy.ONE_FOR_ONE,
            intensity=3,
            period_s=5,
            children=[
                ChildSpec("first", Fetcher, arguments={"engine": "a"}, outages=(EngineAway,)),
                ChildSpec(
                    "second",
                    Fetcher,
                    arguments={"engine": "b"},
                    restart=Restart.TRANSIENT,
                    backoff=Backoff(initial_s=0.01, cap_s=1),
                    stop_timeout_s=2,
                ),
            ],
        )
        ref = system.get("second")
        try:
            await ref.ask_async(Fetch(url=""))
        except ValueError as error:
            print("failed:", error)
        print(await ref.ask_async(Fetch(url="x")))  # the same reference, the next incarnation
        print([(each.name, each.restarts) for each in system.status().actors])


trio.run(main)
