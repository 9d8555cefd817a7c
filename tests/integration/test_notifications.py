"""Notifications from end to end: a served home, its API, its commands, and a real `kill -9`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import httpx
import pytest

from tests.integration.serving import Served, serving, understudy
from tests.webhook_kit import SIGNING
from understudy.protocols.webhooks import verify

pytestmark = pytest.mark.req("NT-2")

READING = (
    ("notifications", "list", "--json"),
    ("notifications", "list", "--limit", "2", "--json"),
    ("notifications", "list", "--status", "queued", "--json"),
)
"""Lists that are the same from the files when no server runs."""


class Got(NamedTuple):
    """A request whose signature fits."""

    id: str
    attempt: int
    type: str
    task: str


class Receiver(ThreadingHTTPServer):
    """Python's own server as the receiver; answers `status`, once `gate` is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: SimpleQueue[Got] = SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Check the signature, and answer."""
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["content-length"]))
        found = verify(SIGNING, dict(self.headers.items()), body, now_s=time.time())
        document = json.loads(body)
        attempt = int(self.headers["understudy-attempt"])
        self.server.got.put(Got(found, attempt, document["type"], document["data"]["task"]))
        self.server.gate.wait(20)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""


@contextmanager
def receiving() -> Generator[Receiver]:
    """A receiver in threads."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.gate.set()
            receiver.shutdown()
            thread.join()


def configure(home: Path, receiver: Receiver, more: str = "") -> None:
    """Write the home's configuration: a webhook and a file."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "understudy.toml").write_text(
        f"""
[[cast.sinks]]
kind = "webhook"
name = "hook"
url = "http://127.0.0.1:{receiver.server_port}/"
secret_env = "HOOK_SIGNING"
{more}

[[cast.sinks]]
kind = "file"
name = "ends"
path = "ends.jsonl"
"""
    )


@contextmanager
def served(home: Path) -> Generator[Served]:
    """A server whose environment has the secret."""
    with serving(home, environment={"HOOK_SIGNING": SIGNING}) as server:
        yield server


def run_task(server: Served) -> None:
    """Have a task run."""
    task = {"title": "one", "command": ["true"]}
    assert httpx.post(f"{server.address}/api/tasks", json=task, trust_env=False).status_code == 202


def wait_listed(server: Served, *, waiting: int = 0, dead: int = 0, ever: int = 0) -> None:
    """Until so many are queued and so many dead, when so many tasks have ended."""
    end = time.monotonic() + 20
    while True:
        page = httpx.get(f"{server.address}/api/notifications", trust_env=False).json()
        status = httpx.get(f"{server.address}/api/status", trust_env=False).json()
        if (page["queued"], page["dead"], status["tasks"]["succeeded"]) == (waiting, dead, ever):
            return
        assert time.monotonic() < end, (page, status)
        time.sleep(0.02)


def test_a_kill_between_the_delivery_and_its_record_repeats_it_under_the_same_id(tmp_path: Path) -> None:
    """The receiver has it, and can tell that it comes again; the file has each task once."""
    home = tmp_path / "home"
    with receiving() as receiver:
        configure(home, receiver)
        with served(home) as server:
            run_task(server)
            first = receiver.got.get(timeout=20)
            wait_listed(server, ever=1)
            receiver.gate.clear()
            run_task(server)
            second = receiver.got.get(timeout=20)
            wait_listed(server, waiting=1, ever=2)
            server.kill()
        receiver.gate.set()
        with served(home) as server:
            again = receiver.got.get(timeout=20)
            wait_listed(server, ever=2)
            assert server.stop() == 0
        assert receiver.got.empty()
    assert (first.task, first.attempt, first.type) == ("task-1", 1, "task_done")
    assert (second.task, second.attempt) == ("task-2", 1)
    assert again == second._replace(attempt=2)
    told = [json.loads(line)["data"]["task"] for line in (home / "ends.jsonl").read_text().splitlines()]
    assert told == ["task-1", "task-2"]


def test_dead_letters_are_listed_and_retried_by_command_and_over_http(tmp_path: Path) -> None:
    """They survive a restart; what does not fit is refused with the usual codes."""
    home = tmp_path / "home"
    with receiving() as receiver:
        receiver.status = 410
        configure(home, receiver)
        with served(home) as server:
            for count in (1, 2, 3):
                run_task(server)
                wait_listed(server, dead=count, ever=count)
            live = [understudy(*command, home=home).document for command in READING]
            assert server.stop() == 0
        assert [understudy(*command, home=home).document for command in READING] == live
        assert "0 wait, 3 dead letters" in understudy("notifications", "list", home=home).out
        receiver.status = 204
        with served(home) as server:
            shown = understudy("notifications", "list", "--status", "dead", "--sink", "hook", home=home)
            assert "answered 410 Gone (attempt 1)" in shown.out
            assert "0 wait, 3 dead letters" in shown.out
            listed = httpx.get(f"{server.address}/api/notifications?limit=2", trust_env=False).json()
            assert [each["about"] for each in listed["deliveries"]] == ["task-3", "task-2"]
            rest = httpx.get(
                f"{server.address}/api/notifications", params={"cursor": listed["next"]}, trust_env=False
            ).json()
            assert ([each["about"] for each in rest["deliveries"]], rest["next"]) == (["task-1"], None)
            one = rest["deliveries"][0]["id"]
            assert understudy("notifications", "retry", one, "--json", home=home).document == {"ids": [one]}
            wait_listed(server, dead=2, ever=3)
            assert understudy("notifications", "retry", "dlv-9", home=home).code == 5
            assert understudy("notifications", "retry", home=home).code == 2
            bad = httpx.get(f"{server.address}/api/notifications?cursor=x", trust_env=False)
            assert (bad.status_code, bad.json()["code"]) == (400, "bad_cursor")
            answer = httpx.post(f"{server.address}/api/notifications/retry", json={}, trust_env=False)
            assert (answer.status_code, len(answer.json()["ids"])) == (202, 2)
            wait_listed(server, ever=3)
            assert "no dead letters" in understudy("notifications", "retry", "--all", home=home).out
            assert server.stop() == 0
    assert understudy("notifications", "list", home=home).out == "0 wait, 0 dead letters\n"
    assert understudy("notifications", "retry", "--all", home=home).code == 3
