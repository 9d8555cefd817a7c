"""The home's configuration file: what it may say, and how it is told when it does not fit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.serving import UNDERSTUDY, clean_environment
from understudy.actors.notifier import FileConfig, WebhookConfig
from understudy.cli.config import CONFIG_FILE, HomeConfig, read_config
from understudy.cli.exits import CommandFailed, Exit


def write(home: Path, text: str) -> None:
    """Put the file into the home."""
    (home / CONFIG_FILE).parent.mkdir()
    (home / CONFIG_FILE).write_text(text)


@pytest.mark.req("CLI-1")
def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    """Nothing has to be written to begin."""
    assert read_config(tmp_path) == HomeConfig()


@pytest.mark.req("CLI-1")
def test_what_the_file_says_counts_and_the_rest_are_the_defaults(tmp_path: Path) -> None:
    """Each key by itself."""
    write(tmp_path, '[cast]\nconcurrency = 9\ntimezone = "Europe/Zurich"\n[runtime]\nwindow = 16\n')

    config = read_config(tmp_path)

    assert (config.cast.concurrency, config.cast.timezone, config.runtime.window) == (9, "Europe/Zurich", 16)
    assert config.cast.grace_s == HomeConfig().cast.grace_s


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[cast]\nconcurrency = 0", "cast.concurrency: .*greater than or equal to 1, got 0"),
        ("[cast]\nconcurency = 4", "cast.concurency: there is no such setting"),
        (
            '[cast]\ntimezone = "Mars/Olympus"',
            "cast.timezone: expected an IANA [^,]*, got 'Mars/Olympus'[.] Change",
        ),
        ("[tasks]\nlimit = 4", "tasks: there is no such setting"),
        ("[cast\nconcurrency = 4", "expected TOML, got: .*line 1"),
        ("cast = 4", "cast: .*got 4"),
        (
            '[cast]\nprofiles = {standard = "shel", deferred = "shell"}',
            r"cast.profiles: expected the names of executors \(python, shell\), got standard = 'shel'",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    """Exit code 2, and the server does not start with half of what was meant."""
    write(tmp_path, text)
    with pytest.raises(CommandFailed, match=says) as caught:
        read_config(tmp_path)
    assert caught.value.problem.exit == Exit.USAGE
    assert str(tmp_path / CONFIG_FILE) in caught.value.problem.detail


@pytest.mark.req("CLI-1")
def test_bytes_that_are_no_text_are_told_too(tmp_path: Path) -> None:
    """An editor may have saved it in another encoding."""
    write(tmp_path, "")
    (tmp_path / CONFIG_FILE).write_bytes(b"[cast]\n# \xff\n")
    with pytest.raises(CommandFailed, match="expected TOML"):
        read_config(tmp_path)


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a FIFO"), (os.mkdir, "a folder")])
def test_what_is_no_file_is_refused_and_not_read(
    tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    """A FIFO has no end before somebody has written to it: the server would wait for good."""
    (tmp_path / CONFIG_FILE).parent.mkdir()
    make(tmp_path / CONFIG_FILE)
    with subprocess.Popen(
        [*UNDERSTUDY, "serve", "--home", tmp_path], stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as serve:
        try:
            _, told = serve.communicate(timeout=10)
        finally:
            serve.kill()
    assert serve.returncode == Exit.USAGE
    assert f"expected a file of TOML, got {kind}. Put a file in its place" in told.replace("\n", " ")
    assert not (tmp_path / "state").exists()


@pytest.mark.req("CLI-1")
def test_a_device_is_refused_and_not_read(tmp_path: Path) -> None:
    """Through a link as well; one to a file is fine."""
    write(tmp_path, "")
    (tmp_path / CONFIG_FILE).rename(tmp_path / "elsewhere")
    (tmp_path / CONFIG_FILE).symlink_to("/dev/zero")
    with pytest.raises(CommandFailed, match="got a device or a socket"):
        read_config(tmp_path)
    (tmp_path / CONFIG_FILE).unlink()
    (tmp_path / CONFIG_FILE).symlink_to(tmp_path / "elsewhere")
    assert read_config(tmp_path) == HomeConfig()


@pytest.mark.req("NT-2")
@pytest.mark.parametrize("folder", ["state/journals", "config", "history"])
def test_a_sink_may_not_write_where_the_runtime_does(tmp_path: Path, folder: str) -> None:
    """By an absolute path neither; told with the sink's name, while the other sinks are used."""
    text = f'[[cast.sinks]]\nkind = "file"\nname = "ends"\npath = "{tmp_path}/{folder}/x"\n'
    write(tmp_path, text)
    (problem,) = read_config(tmp_path).problems
    assert (problem.kind, problem.name) == ("sink", "ends")
    assert problem.reason.startswith("cast.sinks: expected a file of ends outside of")


SINKS = """
[[cast.sinks]]
kind = "webhook"
name = "hook"
url = "https://example.org/T0KEN"
secret_env = "HOOK_SIGNING"

[[cast.sinks]]
kind = "file"
name = "ends"
path = "out/ends.jsonl"
statuses = ["failed"]
"""


@pytest.mark.req("NT-2")
def test_sinks_are_read_with_secrets_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a variable; what they say is shown nowhere."""
    write(tmp_path, SINKS)
    monkeypatch.setenv("HOOK_SIGNING", "T0KEN" * 6)

    hook, ends = read_config(tmp_path).cast.sinks

    assert isinstance(hook, WebhookConfig)
    assert isinstance(ends, FileConfig)
    assert hook.secret.get_secret_value() == "T0KEN" * 6
    assert ends.statuses == ("failed",)
    assert "T0KEN" not in repr((hook, ends))


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SINKS, "cast.sinks.0.webhook: .*a variable HOOK_SIGNING in the environment"),
        (SINKS.replace("secret_env", "secret"), "cast.sinks.0.webhook.secret: .*at least 24 bytes"),
        (SINKS + '[[cast.sinks]]\nkind = "pigeon"', "cast.sinks.2: .*'pigeon'"),
        (
            SINKS.replace("out/ends", "state/ends").replace("_env", ""),
            "cast.sinks.1.file.path: .*in its config, history, logs, persona, state, or",
        ),
        (SINKS + '[[cast.sinks]]\nkind = "file"\nname = "ends"\npath = "b"', "another ends"),
        (SINKS + '[[cast.sinks]]\nkind = "webhook"\nname = "b"\nurl = "ftp://T0KEN"', "expected a URL"),
        ("cast = {sinks = [7]}", "cast.sinks.0: "),
    ],
)
def test_a_sink_that_does_not_fit_is_a_problem_told_without_what_may_be_secret(
    tmp_path: Path, text: str, says: str
) -> None:
    """By file and field only. The sinks that fit are used."""
    write(tmp_path, text)
    config = read_config(tmp_path)
    told = " ".join(problem.reason for problem in config.problems)
    assert re.search(says, told), told
    assert "T0KEN" not in f"{config.problems!r}"
    if "out/ends" in text:
        assert [sink.name for sink in config.cast.sinks if sink.name == "ends"] == ["ends"]


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SINKS.replace("[[cast.sinks]]", "[[cast.sink]]"), "cast.sink: there is no such setting"),
        ("[cast]\npassword = 'T0KEN'", "cast.password: there is no such setting"),
    ],
)
def test_an_unknown_setting_is_told_without_what_may_be_secret(tmp_path: Path, text: str, says: str) -> None:
    """It may be a misspelt one, without which the server would not be what was meant."""
    write(tmp_path, text)
    with pytest.raises(CommandFailed, match=says) as caught:
        read_config(tmp_path)
    assert "T0KEN" not in caught.value.problem.detail
    assert caught.value.__suppress_context__
