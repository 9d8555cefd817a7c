"""`understudy serve`: its start, its end, and its hold on the home; on real processes."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.serving import serving, understudy, wait_for
from understudy.cli.server import owner_of
from understudy.supervision.leftovers import is_alive


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the home will be."""
    return tmp_path / "home"


def accept(address: str, text: str) -> str:
    """Send an input; the id that the server acknowledged."""
    answer = httpx.post(f"{address}/api/input", json={"text": text}, trust_env=False)
    assert answer.status_code == 202
    return answer.json()["id"]


def replies_to(home: Path, input_id: str) -> list[str]:
    """The final replies to an input, as the manager's journal has them."""
    tail = understudy("journal", "tail", "manager", "-n", "1000", "--json", home=home)
    events = [event for line in tail.out.splitlines() for event in json.loads(line)["events"]]
    messages = [message for event in events for message in event["data"].get("messages", ())]
    return [message["text"] for message in messages if input_id in message["in_reply_to"]]


@pytest.mark.req("CLI-1")
def test_serve_prints_where_it_listens_and_writes_it_into_the_lock_file(home: Path) -> None:
    """Port 0 becomes a free one; the line, the lock file and the log agree on the address."""
    with serving(home) as server:
        owner = owner_of(home)
        assert owner is not None
        assert (owner.pid, owner.address) == (server.process.pid, server.address)
        assert httpx.get(f"{server.address}/healthz", trust_env=False).json()["status"] == "ok"
        assert server.stop() == 0
    records = [json.loads(line) for line in (home / "logs" / "app.jsonl").read_text().splitlines()]
    assert {"listening", "stopping", "stopped"} <= {record.get("action") for record in records}
    assert all({"time", "level", "category", "message"} <= record.keys() for record in records)


@pytest.mark.req("CLI-1")
def test_serve_with_json_prints_one_document(home: Path) -> None:
    """A program that starts a server reads address, home and pid from one line of JSON."""
    with serving(home, "--json") as server:
        document = json.loads(server.line)
        assert document == {"listening": server.address, "home": str(home), "pid": server.process.pid}


@pytest.mark.req("RT-9")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_in_order(home: Path, number: signal.Signals) -> None:
    """Exit code 0, the home is free, the task's process is gone, and nothing acknowledged is lost."""
    with serving(home) as server:
        accept(server.address, "/run echo $$ > pid; exec sleep 60")
        wait_for(home / "work" / "pid")
        hello = accept(server.address, "hello")
        server.signal(number)
        assert server.wait() == 0
    assert not is_alive(int((home / "work" / "pid").read_text()))
    assert owner_of(home) is None
    assert understudy("journal", "verify", home=home).code == 0
    assert understudy("tasks", "show", "task-1", "--json", home=home).document["finished_at"] is None
    with serving(home):
        done = understudy("status", "--json", home=home).document
        assert done["state"] == "ok"
    assert len(replies_to(home, hello)) == 1


@pytest.mark.req("RT-9")
def test_an_open_event_stream_does_not_hold_up_the_end(home: Path) -> None:
    """Streams are ended first, so that the server is gone long before a client's patience."""
    with (
        serving(home) as server,
        httpx.stream("GET", f"{server.address}/api/events", trust_env=False, timeout=20) as stream,
    ):
        lines = stream.iter_lines()
        while not next(lines).startswith("event: snapshot"):
            pass
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 8


@pytest.mark.req("RT-9")
def test_a_second_signal_ends_the_server_at_once(home: Path) -> None:
    """A task that ignores SIGTERM holds up the orderly end; the second signal does not wait for it."""
    with serving(home) as server:
        accept(server.address, "/run trap '' TERM; touch began; while :; do sleep 1; done")
        wait_for(home / "work" / "began")
        hello = accept(server.address, "hello")
        server.signal(signal.SIGTERM)
        wait_for_text(home / "logs" / "app.jsonl", '"stopping"')
        assert server.process.poll() is None
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 2
    with serving(home) as server:
        assert understudy("send", "hello again", "--wait", home=home).code == 0
    assert len(replies_to(home, hello)) == 1


def wait_for_text(path: Path, text: str) -> None:
    """Wait until a file holds some text."""
    end = time.monotonic() + 10
    while text not in path.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.req("JR-7")
def test_a_second_owner_is_told_the_pid_of_the_first(home: Path) -> None:
    """Exit code 4, with the pid in the text and as a field."""
    with serving(home) as server:
        done = understudy("serve", "--port", "0", "--json", home=home)
        assert done.code == 4
        assert done.problem["pid"] == server.process.pid
        assert str(server.process.pid) in str(done.problem["detail"])
        assert httpx.get(f"{server.address}/healthz", trust_env=False).status_code == 200


@pytest.mark.req("JR-7")
def test_a_killed_owner_leaves_the_home_free(home: Path) -> None:
    """The lock file still names the killed server, and nobody believes it."""
    with serving(home) as server:
        server.kill()
    assert f'"pid":{server.process.pid}' in (home / "state" / "lock").read_text()
    assert owner_of(home) is None
    assert understudy("send", "hello", home=home).code == 3
    with serving(home):
        assert understudy("send", "hello", home=home).code == 0


@pytest.mark.req("CLI-1")
def test_a_port_that_is_taken_is_told(home: Path) -> None:
    """Exit code 1, naming the port, and the home is free again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = understudy("serve", "--port", str(port), home=home)
    assert done.code == 1
    assert str(port) in done.err
    assert "Traceback" not in done.err
    assert owner_of(home) is None


@pytest.mark.req("CLI-1", "JR-7")
def test_a_home_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    """A file where the home should be, and a home of a newer version: exit code 8, naming the place."""
    (tmp_path / "file").write_text("")
    newer = tmp_path / "newer"
    (newer / "state").mkdir(parents=True)
    (newer / "state" / "format.json").write_text('{"format": 99}\n')
    for home in (tmp_path / "file", newer):
        done = understudy("serve", "--port", "0", home=home)
        assert done.code == 8, done.err
        assert str(home) in done.err
        assert "Traceback" not in done.err
