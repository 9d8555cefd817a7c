"""Logging as the CLI configures it."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from pathlib import Path

import pytest

from understudy.cli import logs
from understudy.cli.config import LogConfig


@pytest.fixture(autouse=True)
def _restored() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] -- pytest uses it
    """Whatever the test does to the process's logging is undone."""
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], logging.raiseExceptions = handlers, raising
    root.setLevel(level)


@pytest.mark.req("CLI-1")
def test_records_wait_until_the_home_is_ours_and_then_become_json_lines(tmp_path: Path) -> None:
    """A second owner writes nothing into the first one's log; what was logged at the start is not lost."""
    open_file = logs.configure(tmp_path, "INFO", LogConfig())
    log = logging.getLogger("understudy.test")
    log.info("before %s", "it", extra={"action": "early", "journal": "manager"})
    assert list(tmp_path.iterdir()) == []
    open_file()
    log.debug("not shown")
    log.error("after", extra={"action": "late"})
    first, second = (json.loads(line) for line in (tmp_path / logs.LOG_FILE).read_text().splitlines())
    assert first.items() >= {"level": "info", "category": "understudy.test", "message": "before it"}.items()
    assert (first["action"], first["context"]) == ("early", {"journal": "manager"})
    assert (second["action"], second["level"]) == ("late", "error")
    assert first["time"] <= second["time"]


@pytest.mark.req("CLI-1")
def test_the_screen_leaves_out_what_serve_prints_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it listens was on a terminal three times; the file keeps it."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.configure(tmp_path, "INFO", LogConfig())()
    logging.getLogger("understudy.cli").info("listening on a", extra={"action": "listening"})
    logging.getLogger("understudy.cli").info("stopped", extra={"action": "stopped"})
    shown = capsys.readouterr().err
    assert "stopped" in shown
    assert "on a" not in shown
    assert "listening on a" in (tmp_path / logs.LOG_FILE).read_text()


@pytest.mark.req("CLI-1")
def test_a_traceback_is_one_json_line_and_shows_no_local_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets live in local variables; neither the file nor the console prints them."""
    logs.configure(tmp_path, "INFO", LogConfig())()
    try:
        secret = str(98_765 * 54_321)
        _ = 1 / (len(secret) - 10)
    except ZeroDivisionError:
        logging.getLogger("understudy.test").exception("it broke", extra={"action": "broke"})
    written = (tmp_path / logs.LOG_FILE).read_text()
    assert "ZeroDivisionError" in json.loads(written)["exception"]
    assert str(98_765 * 54_321) not in written + capsys.readouterr().err


@pytest.mark.req("OP-1")
def test_each_line_has_the_same_fields_and_what_else_is_logged_is_context(tmp_path: Path) -> None:
    """So that one query does for all; docs/reference/log.md says what they hold."""
    logs.configure(tmp_path, "INFO", LogConfig())()
    log = logging.getLogger("somebody.else")
    log.warning("plain")
    log.info(
        "%s was made",
        "task-1",
        extra={
            "action": "made",
            "operator": "api",
            "tool": "shell",
            "parameters": {"command": ["echo"]},
            "context": {"task": "task-1"},
            "pid": 7,
        },
    )
    log.info("odd", extra={"context": "no mapping", "parameters": None})
    log.info({"not": "text"})
    plain, made, odd, _ = (json.loads(line) for line in (tmp_path / logs.LOG_FILE).read_text().splitlines())
    assert tuple(plain) == tuple(made) == tuple(odd) == logs.FIELDS
    assert {name: plain[name] for name in ("operator", "action", "context", "tool", "parameters")} == {
        "operator": "runtime",
        "action": None,
        "context": {},
        "tool": None,
        "parameters": {},
    }
    assert (made["operator"], made["tool"], made["message"]) == ("api", "shell", "task-1 was made")
    assert made["parameters"] == {"command": ["echo"]}
    assert made["context"] == {"task": "task-1", "pid": 7}
    assert odd["context"] == {"context": "no mapping"}


@pytest.mark.req("OP-1")
def test_secrets_reach_neither_the_file_nor_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In messages, their arguments, fields of any depth, and the text of errors."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.configure(tmp_path, "INFO", LogConfig())()
    hidden = "Xq7Zw9Kp2Lm4Rt6Y"
    log = logging.getLogger("understudy.test")
    log.info("url https://ada:%s@example.org", hidden, extra={"api_key": hidden, "n": [{"Cookie": hidden}]})
    log.info("x", extra={"parameters": {"command": ["curl", "-H", f"Authorization: Bearer {hidden}"]}})
    log.info("x", extra={"tool": f"sk-{hidden}", "context": {"env": [["PASSWORD", hidden]]}})
    try:
        raise ValueError(f"password={hidden}")
    except ValueError:
        log.exception("it broke")
    written = (tmp_path / logs.LOG_FILE).read_text()
    assert len(written.splitlines()) == 4
    assert hidden not in written
    assert "ValueError: password=[redacted]" in json.loads(written.splitlines()[3])["exception"]
    shown = capsys.readouterr().err
    assert "url https://[redacted]@example.org" in shown
    assert hidden not in shown.partition("Traceback")[0]


def test_the_log_is_rotated_by_size_and_each_file_is_the_owners_alone(tmp_path: Path) -> None:
    """The newest files stay; one that somebody has taken away is made anew."""
    logs.configure(tmp_path, "INFO", LogConfig(file_bytes=64 << 10, files=3))()
    log = logging.getLogger("understudy.test")
    for number in range(400):
        log.info("%d %s", number, "x" * 1000)
    folder = tmp_path / "logs"
    assert sorted(path.name for path in folder.iterdir()) == ["app.jsonl", "app.jsonl.1", "app.jsonl.2"]
    assert all(path.stat().st_size <= 64 << 10 for path in folder.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    assert '"message": "399 ' in (tmp_path / logs.LOG_FILE).read_text()
    (tmp_path / logs.LOG_FILE).unlink()
    log.info("after")
    assert '"message": "after"' in (tmp_path / logs.LOG_FILE).read_text()


def test_control_characters_of_others_do_not_act_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In messages, fields and tracebacks; the screen's own colours stay."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.configure(tmp_path, "INFO", LogConfig())()
    acting = "\x1b]0;title\x07\x1b[2J\x9b2J"
    try:
        raise ValueError(acting)
    except ValueError:
        logging.getLogger("understudy.test").exception("of %s", acting, extra={"task": acting})
    shown = capsys.readouterr().err
    assert not any(part in shown for part in ("\x1b]", "\x1b[2J", "\x07", "\x9b"))
    assert shown.count("]0;title") == 3
