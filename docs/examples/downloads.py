"""Timers and tasks of a persistent actor. What a run leaves open, the next one takes up again."""

import sys

import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, PersistentActor


class Download(Message[None]):
    url: str


class Fetched(Message[None]):
    url: str
    size: int


class GetProgress(Message[str]):
    """How far it is."""


class Tick(Message[None]):
    """From its own timer."""


class DownloadWanted(Event):
    url: str


class DownloadDone(Event):
    url: str
    size: int


class DownloadsState(BaseModel):
    open: list[str] = []
    done: dict[str, int] = {}


class Downloads(PersistentActor[DownloadsState]):
    def on_start(self) -> None:
        self.start_timer("tick", Tick(), period_s=0.2)
        for url in self.state.open:
            self.start_task(self.fetch, url)

    def download(self, message: Download) -> None:
        self.emit(DownloadWanted(url=message.url))
        self.start_task(self.fetch, message.url)

    def fetched(self, message: Fetched) -> None:
        if message.url in self.state.open:
            self.emit(DownloadDone(url=message.url, size=message.size))

    def get_progress(self, _message: GetProgress) -> str:
        return f"{len(self.state.open)} open, {len(self.state.done)} done"

    def tick(self, _message: Tick) -> None:
        print("still at it:", *self.state.open)

    async def fetch(self, url: str) -> None:
        """Beside the mailbox: may take long, must not touch the state, reports with a message."""
        await trio.sleep(0.5)  # the network
        await self.ref.tell_async(Fetched(url=url, size=len(url)))

    def download_wanted(self, event: DownloadWanted) -> None:
        self.state.open.append(event.url)

    def download_done(self, event: DownloadDone) -> None:
        self.state.open.remove(event.url)
        self.state.done[event.url] = event.size


async def main() -> None:
    async with ActorSystem("downloads") as system:
        downloads = await system.spawn(Downloads, name="downloads")
        for url in sys.argv[1:]:
            await downloads.ask_async(Download(url=url))
        print(await downloads.ask_async(GetProgress()))
        if not sys.argv[1:]:
            while not (await downloads.ask_async(GetProgress())).startswith("0 open"):
                await trio.sleep(0.05)
            print(await downloads.ask_async(GetProgress()))


trio.run(main)
