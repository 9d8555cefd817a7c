"""The home's configuration file: what it may say, and how it is told when it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

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
        (SINKS.replace("[[cast.sinks]]", "[[cast.sink]]"), "cast.sink: there is no such setting"),
        (
            SINKS.replace("out/ends", "state/ends").replace("_env", ""),
            "cast.sinks.1.file.path: .*in its state",
        ),
        ("[cast]\npassword = 'T0KEN'", "cast.password: there is no such setting"),
    ],
)
def test_a_sink_that_does_not_fit_is_told_without_what_may_be_secret(
    tmp_path: Path, text: str, says: str
) -> None:
    """By file and field only."""
    write(tmp_path, text)
    with pytest.raises(CommandFailed, match=says) as caught:
        read_config(tmp_path)
    assert "T0KEN" not in caught.value.problem.detail
    assert caught.value.__suppress_context__
