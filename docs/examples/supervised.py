"""A supervisor, two children that depend on each other, and a failure."""

import logging

import trio

from understudy import (
    Actor,
    ActorSystem,
    Backoff,
    ChildSpec,
    Message,
    Restart,
    Strategy,
    Supervisor,
    Terminated,
)
from understudy.protocols.lifecycle import ActorRestarting, LifecycleEvent


class Parse(Message[int]):
    text: str


class Watch(Message[None]):
    other: str


class GetLosses(Message[tuple[str, ...]]):
    """Who is gone, and why."""


class Parser(Actor):
    def parse(self, message: Parse) -> int:
        return int(message.text)  # a ValueError is a failure: the supervisor decides


class Cache(Actor):
    """Knows something that is worthless when the parser starts anew."""


class Observer(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.losses: tuple[str, ...] = ()

    def begin(self, message: Watch) -> None:
        self.watch(message.other)

    def terminated(self, message: Terminated) -> None:
        self.losses += (f"{message.actor}: {message.reason}",)

    def get_losses(self, _message: GetLosses) -> tuple[str, ...]:
        return self.losses


class Pipeline(Supervisor):
    strategy = Strategy.REST_FOR_ONE
    intensity = 2
    period_s = 60
    children = (
        ChildSpec("parser", Parser, backoff=Backoff(initial_s=0.01)),
        ChildSpec("cache", Cache, restart=Restart.TRANSIENT),
    )


def show(event: LifecycleEvent) -> None:
    if isinstance(event, ActorRestarting):
        print("restarting", event.actor)


async def main() -> None:
    async with ActorSystem() as system:
        system.lifecycle.subscribe(show)
        await system.spawn(Pipeline, name="pipeline")
        parser = system.get("parser")
        try:
            await parser.ask_async(Parse(text="seven"))
        except ValueError as error:
            print("the asker gets the error:", error)
        print("the same reference goes on:", await parser.ask_async(Parse(text="7")))
        status = next(each for each in system.status().actors if each.name == "parser")
        print(f"{status.restarts} restart; last failure: {status.last_failure}")

        observer = await system.spawn(Observer, name="observer")
        await observer.ask_async(Watch(other="cache"))
        await system.stop("pipeline")
        print("gone:", *await observer.ask_async(GetLosses()))


logging.getLogger("understudy").setLevel(logging.CRITICAL)  # failures are logged; here they are shown
trio.run(main)
