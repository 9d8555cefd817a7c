"""The cast in a program of one's own, with a webhook and a function that are told how tasks end."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import trio
from pydantic import SecretStr
from receiver import SHARED, Receiver

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.notifier import CallbackConfig, FileConfig, WebhookConfig
from understudy.protocols.notifications import Delivery, ListDeliveries
from understudy.protocols.tasks import CreateTask, TaskSpec

heard: list[str] = []  # `listen` runs in threads: it collects, and the main thread prints


def listen(delivery: Delivery) -> None:
    assert delivery.notification.result is not None
    heard.append(f"heard of {delivery.notification.result.task}, attempt {delivery.attempt}")


async def work(home: Path, url: str) -> None:
    sinks = (
        WebhookConfig(name="hook", url=url, secret=SecretStr(SHARED), statuses=("failed",)),
        FileConfig(name="ends", path=Path("ends.jsonl")),
        CallbackConfig(name="listen", function=listen),
    )
    async with ActorSystem(home) as system:
        await start_cast(system, CastConfig(sinks=sinks))
        for program in ("true", "false"):
            spec = TaskSpec(title=f"run {program}", command=(program,))
            await system.get("workers").ask_async(CreateTask(spec=spec))
        notifier = system.get("notifier")
        while len(lines(home / "ends.jsonl")) < 2 or (await notifier.ask_async(ListDeliveries())).queued:
            await trio.sleep(0.05)
        print("lines in the file:", len(lines(home / "ends.jsonl")))
    print("\n".join(sorted(heard)))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


with TemporaryDirectory() as folder, Receiver() as receiver:
    threading.Thread(target=receiver.serve_forever, args=(0.05,)).start()
    address = f"http://127.0.0.1:{receiver.server_port}/"
    trio.run(work, Path(folder), address)
    forged = httpx.post(address, json={"type": "task_done"}, trust_env=False)
    print("without a signature:", forged.status_code)
    receiver.shutdown()
