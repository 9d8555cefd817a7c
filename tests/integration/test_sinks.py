"""The sinks against what is really there: a receiver on a loopback port, a file, a thread."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from tests.unit.actors.stage import until
from tests.unit.actors.test_notifier import Session, done
from tests.webhook_kit import CUT, HANG, HUGE, SIGNING, Receiver, answer, receiving
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.notifier import CallbackConfig, FileConfig, NotifierActor, SinkConfig, WebhookConfig
from understudy.actors.notifier.sinks.webhook import seconds_of
from understudy.protocols.notifications import Delivery, DeliveryList, ListDeliveries
from understudy.protocols.webhooks import BadSignature
from understudy.supervision.testing.files import FaultyFiles

pytestmark = pytest.mark.req("NT-2")


class Stage:
    """A notifier with real sinks, on the machine's clock."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system

    async def tell_ends(self, *numbers: int) -> None:
        """Tasks have ended."""
        for number in numbers:
            await self.system.get("notifier").ask_async(done(number), timeout_s=5)

    async def wait(self, *, queued: int = 0, dead: int = 0) -> DeliveryList:
        """Until so many deliveries are queued, and so many dead."""
        found: list[DeliveryList] = []

        async def look() -> bool:
            found.append(await self.system.get("notifier").ask_async(ListDeliveries(), timeout_s=5))
            return (found[-1].queued, found[-1].dead) == (queued, dead)

        await until(self.system, look, timeout_s=10)
        return found[-1]


@asynccontextmanager
async def stage(home: Path, *sinks: SinkConfig, files: FaultyFiles | None = None) -> AsyncGenerator[Stage]:
    """A stage on a home."""
    async with ActorSystem(home, files=files) as system:
        await system.spawn(Session, name="manager")
        await system.spawn(NotifierActor, name="notifier", sinks=sinks)
        yield Stage(system)


def hook(receiver: Receiver, **fields: Any) -> WebhookConfig:
    """A webhook that is tried again at once."""
    made: dict[str, Any] = {"name": "hook", "url": receiver.url, "secret": SIGNING, "retry_delay_s": 0}
    return WebhookConfig.model_validate(made | fields)


def all_text(folder: Path) -> str:
    """What the JSON files below a folder hold."""
    return "".join(path.read_text() for path in folder.rglob("*.json*"))


def lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_webhook_is_a_signed_post_whose_repetitions_differ_in_attempt_and_time_only(
    tmp_path: Path,
) -> None:
    """It was answered 500 twice; what others sign with another secret is not taken."""
    async with receiving(answer(500), answer(503)) as receiver, stage(tmp_path, hook(receiver)) as found:
        await found.tell_ends(1)
        await found.wait()
        assert [request.attempt for request in receiver.requests] == [1, 2, 3]
        assert len({(request.verified(time.time()), request.body) for request in receiver.requests}) == 1
        request = receiver.requests[0]
        assert request.target == "/hook"
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.body)["data"]["task"] == "task-1"
        with pytest.raises(BadSignature):
            request.verified(time.time(), "another secret that is long enough")


async def test_a_receiver_that_dies_after_it_has_received_gets_it_again_with_the_same_id(
    tmp_path: Path,
) -> None:
    """The connection ended without an answer: nobody knows whether it was taken."""
    async with receiving(CUT, CUT) as receiver, stage(tmp_path, hook(receiver)) as found:
        await found.tell_ends(1)
        await found.wait()
        assert len({request.id for request in receiver.requests}) == 1
        assert [request.attempt for request in receiver.requests] == [1, 2, 3]


@pytest.mark.parametrize(
    ("given", "attempts", "error"),
    [
        (answer(410), 1, "answered 410 Gone (attempt 1)"),
        (answer(404), 3, "answered 404 Not Found (attempt 3)"),
        (answer(301, ("Location", "/elsewhere")), 3, "answered 301 Moved Permanently (attempt 3)"),
        (answer(307, ("Location", "http://127.0.0.1:1/")), 3, "answered 307 Temporary Redirect (attempt 3)"),
        (answer(408), 4, "answered 408 Request Timeout (attempt 4)"),
        (answer(425), 4, "answered 425 Too Early (attempt 4)"),
        (answer(429), 4, "answered 429 Too Many Requests (attempt 4)"),
        (answer(599), 4, "answered 599 (attempt 4)"),
        (CUT, 4, "RemoteProtocolError: Server disconnected without sending a response. (attempt 4)"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", 4, "RemoteProtocolError: illegal status line"),
        (b"\0\xff" * 1000 + b"\r\n\r\n", 4, "RemoteProtocolError: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, 4, "RemoteProtocolError: "),
        (HANG, 4, "no answer within 0.1 s (attempt 4)"),
    ],
    ids=[
        "410", "404", "301", "307", "408", "425", "429", "599",
        "cut", "ssh", "garbage", "endless head", "hang",
    ],
)  # fmt: skip
async def test_what_an_answer_means(tmp_path: Path, given: bytes, attempts: int, error: str) -> None:
    """Gone: never again; refused, a redirect: three times; everything else: as often as configured."""
    wait_s = 0.1 if given == HANG else 5
    async with (
        receiving(*[given] * 10) as receiver,
        stage(tmp_path, hook(receiver, attempts=4, timeout_s=wait_s)) as found,
    ):
        await found.tell_ends(1)
        (dead,) = (await found.wait(dead=1)).deliveries
        assert dead.error.startswith(error)
        assert [request.attempt for request in receiver.requests] == list(range(1, attempts + 1))
        assert {request.target for request in receiver.requests} == {"/hook"}


async def test_nobody_listening_is_a_failed_attempt(tmp_path: Path) -> None:
    """It is told when somebody is there again, after a restart."""
    async with receiving() as receiver:
        pass
    async with stage(tmp_path, hook(receiver, attempts=1)) as found:
        await found.tell_ends(1)
        (dead,) = (await found.wait(dead=1)).deliveries
        assert dead.error.startswith("ConnectError: ")
        assert receiver.url not in dead.error


async def test_of_an_endless_answer_only_the_head_is_read(tmp_path: Path) -> None:
    """What the receiver could send is what the buffers of the connection take."""
    async with receiving(HUGE) as receiver, stage(tmp_path, hook(receiver)) as found:
        await found.tell_ends(1)
        await found.wait()
        assert len(receiver.requests) == 2
        assert receiver.sent < 16 << 20


async def test_a_webhook_that_hangs_holds_up_neither_the_other_sinks_nor_their_number(tmp_path: Path) -> None:
    """Two requests at once, and the rest waits."""
    heard: list[str] = []

    async def listen(delivery: Delivery) -> None:
        heard.append(delivery.notification.id)

    async with (
        receiving(*[HANG] * 100) as receiver,
        stage(
            tmp_path,
            hook(receiver, concurrency=2, timeout_s=60),
            CallbackConfig(name="listen", function=listen),
            FileConfig(name="ends", path=Path("out/ends.jsonl")),
        ) as found,
    ):
        await found.tell_ends(*range(1, 51))
        await found.wait(queued=50)
        assert len(heard) == len(lines(tmp_path / "out" / "ends.jsonl")) == 50
        assert receiver.most == len(receiver.requests) == 2


async def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    """Anything else says nothing."""
    now = 1_795_000_000.0
    date = format_datetime(datetime.fromtimestamp(now + 90, UTC), usegmt=True)
    assert seconds_of("120", now) == 120
    assert seconds_of(date, now) == 90
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT", now) == 0
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 -0000", now) == 0
    for text in ("", "soon", "-5", "1.5", "٣", "99999999999999 GMT"):
        assert seconds_of(text, now) is None


async def test_retry_after_of_an_answer_is_heard(tmp_path: Path) -> None:
    """The next attempt is not made before."""
    async with (
        receiving(answer(429, ("Retry-After", "77"))) as receiver,
        stage(tmp_path, hook(receiver)) as found,
    ):
        await found.tell_ends(1)
        await receiver.wait(1)
        await until(found.system, lambda: [one.status for one in state_of(found).open.values()] == ["queued"])
        (waiting,) = (await found.wait(queued=1)).deliveries
        assert waiting.retry_at is not None
        assert 76 < waiting.retry_at - waiting.queued_at < 80


def state_of(found: Stage) -> Any:
    """The notifier's state."""
    return found.system.cell("notifier").actor.state


async def test_neither_journal_nor_log_holds_the_secret_or_the_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Many an address has a token in it."""
    caplog.set_level("DEBUG", "understudy")
    async with receiving(answer(410), CUT, b"no") as receiver:
        config = hook(receiver, attempts=1, url=receiver.url + "/T0KEN")
        async with stage(tmp_path, config) as found:
            await found.tell_ends(1, 2, 3)
            await found.wait(dead=3)
    kept = all_text(tmp_path) + repr(config)
    kept += "".join(record.getMessage() for record in caplog.records if record.name.startswith("understudy"))
    assert "dead letter" in kept
    assert "T0KEN" not in kept
    assert SIGNING[6:] not in kept


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "ftp://example.org/T0KEN"}, "expected a URL"),
        ({"url": "http://"}, "expected a URL"),
        ({"url": "http://exa mple/T0KEN\n"}, "expected a URL"),
        ({"secret": "T0KEN"}, "at least 24 bytes"),
        ({"name": "../T0KEN"}, "name"),
        ({"attempts": 0}, "attempts"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_without_showing_secrets(
    fields: dict[str, Any], says: str
) -> None:
    """By the name of the field."""
    good = {"name": "hook", "url": "http://127.0.0.1:1/", "secret": SIGNING}
    with pytest.raises(ValidationError, match=says) as refused:
        WebhookConfig.model_validate(good | fields)
    assert "T0KEN" not in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "state/x",
        "config/x",
        "history/x",
        "logs/app.jsonl",
        "persona/x",
        "/",
    ],
)
def test_a_file_outside_of_the_home_or_among_the_runtimes_is_refused(path: str) -> None:
    """An absolute path is a deliberate one."""
    with pytest.raises(ValidationError, match="expected a file"):
        FileConfig(name="file", path=Path(path))


async def test_an_absolute_path_into_the_state_is_refused(tmp_path: Path) -> None:
    """Also through a link."""
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "state")
    async with ActorSystem(tmp_path) as system:
        for folder in ("state/journals", "config", "history/2026", "logs", "persona", "link"):
            sink = FileConfig(name="file", path=tmp_path / folder / "x")
            with pytest.raises(ValueError, match="which is the runtime's"):
                await system.spawn(NotifierActor, name="notifier", sinks=[sink])
            with pytest.raises(ValueError, match="which is the runtime's"):
                await start_cast(system, CastConfig(sinks=(sink,)))
        assert system.status().actors == ()


async def test_a_line_is_synced_before_the_delivery_is_recorded(tmp_path: Path) -> None:
    """After a power failure at any later moment the file has it, once."""
    files = FaultyFiles(tmp_path)
    sink = FileConfig(name="ends", path=Path("out/ends.jsonl"))
    async with stage(tmp_path, sink, files=files) as found:
        await found.tell_ends(1, 2)
        await found.wait()
    files.power_failure()
    assert [line["data"]["task"] for line in lines(tmp_path / "out" / "ends.jsonl")] == ["task-1", "task-2"]


@pytest.mark.parametrize("fault", ["write", "fdatasync", "make", "mkdir", "sync_folder"])
async def test_a_disk_that_fails_once_is_tried_again(tmp_path: Path, fault: str) -> None:
    """The line is there in the end, under one id, even if twice."""
    files = FaultyFiles(tmp_path)
    sink = FileConfig(name="ends", path=Path("out/ends.jsonl"), retry_delay_s=0)
    path = tmp_path / "out" / "ends.jsonl"
    failed: list[str] = []

    def fail_once(name: str, at: Path) -> None:
        if name == fault and at in (path, path.parent, tmp_path) and not failed:
            failed.append(name)
            raise OSError(errno.EIO, "Input/output error")

    async with stage(tmp_path, sink, files=files) as found:
        files.on_operation = lambda operation: fail_once(operation.name, operation.path)
        await found.tell_ends(1)
        await found.wait()
    assert failed == [fault]
    assert len({line["id"] for line in lines(path)}) == 1


async def test_half_a_line_of_a_crash_is_closed_and_left(tmp_path: Path) -> None:
    """The next line is whole; what may be somebody else's is not cut off."""
    path = tmp_path / "ends.jsonl"
    path.write_text('{"id": "dlv-0')
    async with stage(tmp_path / "home", FileConfig(name="ends", path=path)) as found:
        await found.tell_ends(1)
        await found.wait()
    first, second = path.read_text().splitlines()
    assert first == '{"id": "dlv-0'
    assert json.loads(second)["data"]["task"] == "task-1"


async def test_a_plain_function_is_called_in_a_thread_and_may_hang(tmp_path: Path) -> None:
    """It is left behind after its time, holds up its own sink only, and the system ends all the same."""
    go_on = threading.Event()
    threads: list[str] = []
    heard: list[str] = []

    def hang(_delivery: Delivery) -> None:
        threads.append(threading.current_thread().name)
        go_on.wait(10)

    def listen(delivery: Delivery) -> None:
        threads.append(threading.current_thread().name)
        heard.append(delivery.id)

    hanging = CallbackConfig(name="hang", function=hang, timeout_s=0.1, attempts=1, concurrency=1)
    try:
        with trio.fail_after(9):
            async with stage(tmp_path, hanging, CallbackConfig(name="listen", function=listen)) as found:
                await found.tell_ends(1, 2)
                await found.wait(dead=2)
        assert len(heard) == 2
        assert threading.main_thread().name not in threads
    finally:
        go_on.set()


async def test_a_function_that_ends_the_program_does_not(tmp_path: Path) -> None:
    """`sys.exit` in a callback is a failed attempt; so is whatever else it raises."""

    def leave(_delivery: Delivery) -> None:
        raise SystemExit(3)

    class Later:
        async def __call__(self, _delivery: Delivery) -> None:
            raise ExceptionGroup("several", [OSError("one"), KeyError("two")])

    sinks: Sequence[SinkConfig] = (
        CallbackConfig(name="leave", function=leave, attempts=1),
        CallbackConfig(name="later", function=Later(), attempts=1),
    )
    async with stage(tmp_path, *sinks) as found:
        await found.tell_ends(1)
        errors = {view.sink: view.error for view in (await found.wait(dead=2)).deliveries}
        assert errors["leave"] == "the function called for an exit (3) (attempt 1)"
        assert errors["later"].startswith("ExceptionGroup: several")
