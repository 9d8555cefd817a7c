"""The edge of the command line: usage, errors, exit codes; in this process, without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

import understudy
from understudy.cli import main
from understudy.cli.app import app
from understudy.cli.exits import Exit, Problem, problem_of, problem_of_answer
from understudy.protocols import errors

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["tasks", "nonsense"],
        ["send"],
        ["send", "a", "b"],
        ["tasks", "list", "--limit", "many"],
        ["tasks", "list", "--limit", "0"],
        ["tasks", "list", "--status", "lost"],
        ["status", "--nonsense"],
        ["serve", "--port", "70000"],
        ["serve", "--port", "-1"],
    ],
)
def test_a_command_line_that_does_not_fit_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The text names the culprit; with --json it is a problem object; standard output stays empty."""
    assert main(arguments) == Exit.USAGE
    assert capsys.readouterr().err
    assert main([*arguments, "--json"]) == Exit.USAGE
    captured = capsys.readouterr()
    assert json.loads(captured.err)["code"] == "usage"
    assert captured.out == ""


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send", "hello", "world"], ["'world'", "quotes", "`understudy send --help`"]),
        (
            ["tasks", "list", "--limt", "3"],
            ["--limt", "Did you mean --limit? `understudy tasks list --help`"],
        ),
        (["taks"], ['"taks". Did you mean "tasks"? `understudy --help`']),
        (["cron", "add", "date"], ["--cron", "--at", "got neither"]),
        (
            ["cron", "add", "--cron", "* * * * *", "--at", "2999-01-01", "date"],
            ["--cron", "--at", "got both"],
        ),
        (["cron", "add", "--cron", "* * * * *"], ["expected a COMMAND"]),
        (["cron", "add", "--cron", "* * * * *", "df", "-h"], ["-h", "put -- before"]),
        (["cron", "add", "--at", "soon", "date"], ["--at", "2026-12-24T18:00, 18:00 or +5m, got 'soon'"]),
        (["cron", "add", "--at", "24:30", "date"], ["--at", "18:00 or +5m, got '24:30'"]),
        (["cron", "add", "--at", "2999-01-01", "--jitter", "-3", "date"], ["--jitter: ", "equal to 0"]),
    ],
)
def test_a_command_line_that_does_not_fit_names_the_help_of_its_command(
    arguments: list[str], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not that of the program, which knows none of the options."""
    assert main(arguments) == Exit.USAGE
    error = capsys.readouterr().err
    assert all(each in error for each in told), error


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    "command", [["status"], ["tasks", "list"], ["journal", "tail"], ["journal", "repair"]]
)
def test_a_folder_that_is_no_home_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 8, with the folder and how to make a home; nothing is made."""
    assert main([*command, "--home", str(tmp_path / "none")]) == Exit.HOME_UNUSABLE
    error = capsys.readouterr().err
    assert str(tmp_path / "none") in error
    assert "understudy serve" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.req("CLI-1")
def test_a_home_of_a_newer_version_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 8 also for commands that only read."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "format.json").write_text('{"format": 99}\n')
    assert main(["status", "--home", str(tmp_path), "--json"]) == Exit.HOME_UNUSABLE
    assert json.loads(capsys.readouterr().err)["code"] == "newer_version"


@pytest.mark.req("API-1", "CLI-1")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - it is refused
def test_an_address_that_others_can_reach_is_refused_before_a_home_is_made(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 6, with what to do instead."""
    home = tmp_path / "home"
    assert main(["serve", "--home", str(home), "--host", host]) == Exit.REFUSED
    assert "tunnel" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.req("CLI-1")
def test_text_that_looks_like_an_option_can_be_sent_behind_two_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a `--json` behind them is text too: the error is for people."""
    assert main(["send", "--home", str(tmp_path), "--", "--json"]) == Exit.NO_SERVER
    assert capsys.readouterr().err.startswith("No server")


@pytest.mark.req("CLI-1")
def test_an_unexpected_error_is_told_as_a_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the traceback for whoever mends it, and a problem object for programs."""

    def broken(home: Path) -> None:
        raise ZeroDivisionError(f"no {home}")

    monkeypatch.setattr("understudy.cli.status.owner_of", broken)
    assert main(["status", "--json"]) == Exit.FAILED
    *traceback, last = capsys.readouterr().err.splitlines()
    assert "defect" in json.loads(last)["detail"]
    assert "ZeroDivisionError" in "\n".join(traceback)


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.HomeInUse("in use", pid=7), Exit.HOME_IN_USE),
        (errors.HomeNotWritable("no"), Exit.HOME_UNUSABLE),
        (errors.NewerVersion("no"), Exit.HOME_UNUSABLE),
        (errors.JournalDamaged("f", 1, 2, "bad"), Exit.DAMAGED),
        (errors.NotFound("no"), Exit.NOT_FOUND),
        (errors.UnknownActor("no"), Exit.NOT_FOUND),
        (errors.Refused("no"), Exit.REFUSED),
        (errors.KeyReused("no"), Exit.REFUSED),
        (errors.AskTimeout("no"), Exit.TIMED_OUT),
        (errors.UnderstudyError("no"), Exit.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: errors.UnderstudyError, code: Exit) -> None:
    """The problem keeps the error's own code and text."""
    problem = problem_of(error)
    assert (problem.exit, problem.code, problem.detail) == (code, type(error).code, str(error))


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b'{"title":"Not found","status":404,"detail":"d","code":"not_found"}', Exit.NOT_FOUND),
        (409, b'{"title":"Refused","status":409,"detail":"d","code":"refused"}', Exit.REFUSED),
        (503, b'{"title":"Blocked","status":503,"detail":"d","code":"actor_blocked"}', Exit.DAMAGED),
        (503, b'{"title":"Full","status":503,"detail":"d","code":"mailbox_full"}', Exit.FAILED),
        (500, b"<html>what?</html>", Exit.FAILED),
    ],
)
def test_each_answer_of_the_server_has_its_exit_code(status: int, body: bytes, code: Exit) -> None:
    """Also one that is no problem object: it is quoted."""
    problem = problem_of_answer(status, body)
    assert (problem.status, problem.exit) == (status, code)
    assert problem.detail


@pytest.mark.req("CLI-1")
def test_an_error_of_a_home_in_use_carries_the_pid() -> None:
    """So that a program can act on it."""
    problem = Problem.model_validate(problem_of(errors.HomeInUse("in use", pid=7)).model_dump())
    assert problem.model_dump()["pid"] == 7


@pytest.mark.req("CLI-1")
def test_the_reference_names_every_exit_code_and_every_command() -> None:
    """What docs/reference/cli.md says is what there is."""
    text = REFERENCE.read_text(encoding="utf-8")
    codes = {int(found) for found in re.findall(r"^\| `(\d+)` \|", text, flags=re.MULTILINE)}
    assert codes == {int(code) for code in Exit}
    headings = set(re.findall(r"^### `understudy ([a-z ]+)", text, flags=re.MULTILINE))
    assert {heading.strip() for heading in headings} == set(_commands(app))


def _commands(of: App, prefix: str = "") -> list[str]:
    """All commands that do something, by their full name."""
    names: list[str] = []
    for name in of:
        if name.startswith("-"):
            continue
        inner = _commands(of[name], f"{prefix}{name} ")
        names += inner or [prefix + name]
    return names


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--home", "HOME", "--json", "tasks", "list"],
        ["--json", "tasks", "--home=HOME", "list"],
        ["tasks", "list", "--json", "--home", "HOME"],
    ],
)
def test_the_common_options_may_stand_anywhere(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the command, within it and behind it they mean the same."""
    given = [word.replace("HOME", str(tmp_path / "none")) for word in arguments]
    assert main(given) == Exit.HOME_UNUSABLE
    problem = json.loads(capsys.readouterr().err)
    assert (problem["code"], str(tmp_path / "none") in problem["detail"]) == ("home_unusable", True)


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    "arguments",
    [
        ["tasks", "add", "--", "cat", "r\udce9sum\udce9.txt"],
        ["send", "r\udce9sum\udce9"],
        ["--home", "\udce9", "status"],
        ["cron", "add", "--title=\udce9", "--cron", "* * * * *", "date"],
        ["\udce9"],
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_bytes_that_are_no_utf8_are_refused_in_words(
    arguments: list[str],
    as_json: bool,  # noqa: FBT001 - a parameter of the test
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wherever they stand; the text shows the bytes, and there is no traceback."""
    assert main([*(["--json"] if as_json else []), *arguments]) == Exit.USAGE
    error = capsys.readouterr().err
    assert (r"\xe9" in error, "Traceback" in error) == (True, False)


@pytest.mark.req("CLI-1")
def test_a_home_from_the_environment_that_is_no_utf8_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its path would stand in answers and logs, which are JSON."""
    monkeypatch.setenv("UNDERSTUDY_HOME", "/\udce9")
    assert main(["status", "--json"]) == Exit.USAGE
    assert "UTF-8" in json.loads(capsys.readouterr().err)["detail"]


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_escape_code_is_sent_where_none_is_wanted(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bold is one as well; in help, in answers and in problems."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    main(["status", "--home", "/nowhere"])
    assert "\x1b[" in capsys.readouterr().err
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for arguments in (
        ["--help"],
        ["tasks", "list", "--help"],
        ["status", "--home", "/nowhere"],
        ["nonsense"],
    ):
        main(arguments)
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out + captured.err, arguments


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize(
    "program", ["import understudy", "import understudy.cli as c; c.main(['--version'])"]
)
def test_the_version_and_the_front_door_import_nothing_heavy(program: str) -> None:
    """`import understudy` imports what a program uses of it when it uses it."""
    heavy = "{'trio', 'pydantic', 'pykka', 'cyclopts', 'rich', 'httpx', 'psutil'}"
    code = f"{program}; import sys; found = {heavy} & set(sys.modules); assert not found, found"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.req("CLI-1")
def test_each_public_name_is_found_in_its_module() -> None:
    """The names that are imported late are the public ones, all of them; others are no attribute."""
    assert all(hasattr(understudy, name) for name in understudy.__all__)
    assert set(understudy.__all__) <= set(dir(understudy))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = understudy.Nonsense  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
