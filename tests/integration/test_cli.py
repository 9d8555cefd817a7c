"""The commands beside a server, without one, and across its restarts; on real processes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from tests.integration.serving import (
    UNDERSTUDY,
    Done,
    clean_environment,
    serving,
    understudy,
    wait_for,
)

READING = (("status",), ("tasks", "list"), ("tasks", "show", "task-2"), ("journal", "tail"))
COLOUR = "\x1b["


@pytest.fixture(scope="module")
def rested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a server has worked, and none runs any more; only for reading."""
    home = tmp_path_factory.mktemp("rested") / "home"
    with serving(home) as server:
        for text in ("hello", "/run echo well done", "/run sh -c 'echo badly done; exit 3'"):
            assert understudy("send", text, "--wait", home=home).code == 0
        assert server.stop() == 0
    return home


@pytest.fixture
def damaged(rested: Path, tmp_path: Path) -> Path:
    """A copy of that home with a flipped bit in the middle of the workers' journal."""
    home = tmp_path / "damaged"
    shutil.copytree(rested, home)
    (journal,) = (home / "state" / "journals" / "workers").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"seq":3', b'"seq":7')
    journal.write_bytes(b"".join(lines))
    return home


# -- with a server


@pytest.mark.req("CLI-1")
def test_the_commands_tell_the_same_with_a_server_and_from_its_files(tmp_path: Path) -> None:
    """What tasks list, show and status say of the work is equal before and after the server has gone."""
    home = tmp_path / "home"
    commands = (
        ("tasks", "list", "--json"),
        ("tasks", "list", "--limit", "1", "--json"),
        ("tasks", "list", "--status", "failed", "--json"),
        ("tasks", "show", "task-1", "--json"),
    )
    with serving(home) as server:
        sent = understudy("send", "/run echo well done", "--wait", "--json", home=home).document
        assert understudy("send", "/run false", "--wait", home=home).code == 0
        live = [understudy(*command, home=home).document for command in commands]
        running = understudy("status", "--json", home=home).document
        assert server.stop() == 0
    assert live == [understudy(*command, home=home).document for command in commands]
    resting = understudy("status", "--json", home=home).document
    for same in ("home", "tasks", "messages", "schedules", "manager"):
        assert running[same] == resting[same]
    assert (running["state"], running["running"], running["pid"]) == ("ok", True, server.process.pid)
    assert (resting["state"], resting["running"], resting["pid"]) == ("resting", False, None)
    assert sent["id"] == "input-1"
    assert "well done" in json.dumps(sent["reply"])


@pytest.mark.req("CLI-1", "JR-4")
def test_send_prints_the_id_at_once_or_the_final_reply_and_a_key_counts_once(tmp_path: Path) -> None:
    """Without --wait the id; with it the text of the reply on standard output and nothing else."""
    home = tmp_path / "home"
    with serving(home):
        assert understudy("send", "hello", "--key", "k", home=home).out == "input-1\n"
        assert understudy("send", "hello", "--key", "k", home=home).out == "input-1\n"
        other = understudy("send", "something else", "--key", "k", home=home)
        assert other.code == 6, other.err
        done = understudy("send", "/run printf 'one\\ntwo\\n'", "--wait", home=home)
        assert done.out.endswith("one\ntwo\n")
        assert "input-2" in done.err
        assert COLOUR not in done.out + done.err


@pytest.mark.req("CLI-1")
@pytest.mark.req("CR-1")
def test_schedules_are_made_listed_changed_and_removed(tmp_path: Path) -> None:
    """What `cron` does with a server; lists and next runs are the same from the files without one."""
    home = tmp_path / "home"
    reading = (("cron", "list", "--json"), ("cron", "next", "sched-1", "-n", "2", "--json"))
    with serving(home) as server:
        arguments = ("--cron", "30 2 * * *", "--timezone", "Europe/Zurich", "--overlap", "forbid")
        made = understudy(
            "cron", "add", *arguments, "--json", "--", "df", "-h", UNDERSTUDY_HOME=str(home)
        ).document
        assert made["id"] == "sched-1"
        work = ("--queue", "reports", "--priority", "7", "--workspace", "reports")
        once = understudy(
            "cron", "add", "--at", "2999-01-01T00:00", "--title", "far", *work, "true", home=home
        )
        assert once.out.startswith("sched-2, next 2999-01-0")
        for arguments, code, detail in (
            (("add", "--cron", "61 * * * *", "true"), 6, "whose minute is 0 to 59, got '61'"),
            (("add", "true"), 2, "either --cron EXPRESSION or --at TIME"),
            (("add", "--cron", "* * * * *", "--jitter", "-1", "true"), 2, "--jitter: "),
            (
                (
                    "add",
                    "--cron",
                    "* * * * *",
                    "--executor",
                    "python",
                    "--function",
                    "f",
                    "--arguments",
                    "{}",
                ),
                6,
                "expected a registered callable",
            ),
            (("enable", "sched-9"), 5, "expected the id of a schedule"),
            (("next", "sched-9"), 5, "expected the id of a schedule"),
        ):
            refused = understudy("cron", *arguments, "--json", home=home)
            assert (refused.code, detail in str(refused.problem["detail"])) == (code, True), refused.err
        far = json.loads(understudy("cron", "list", "--json", home=home).out)["schedules"][0]
        assert (far["queue"], far["priority"], far["workspace"]) == ("reports", 7, "reports")
        assert understudy("cron", "disable", "sched-2", home=home).out == "sched-2: disabled\n"
        assert understudy("cron", "enable", "sched-2", home=home).out.startswith("sched-2: enabled, next 29")
        assert understudy("cron", "remove", "sched-2", home=home).code == 0
        live = [understudy(*command, home=home).document for command in reading]
        listed = understudy("cron", "list", home=home).out
        assert server.stop() == 0
    assert live == [understudy(*command, home=home).document for command in reading]
    assert live[1]["timezone"] == "Europe/Zurich"
    assert all(word in listed for word in ("df -h", "30 2 * * *", "Europe/Zurich"))
    assert "sched-2" not in listed
    assert understudy("cron", "remove", "sched-1", home=home).code == 3


@pytest.mark.req("CLI-1", "CR-1")
def test_a_single_time_is_what_the_chat_takes(tmp_path: Path) -> None:
    """A time of day is the next such one in the configured or the named zone; a span counts from now."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    (home / "config/understudy.toml").write_text('[cast]\ntimezone = "Asia/Tokyo"\n')
    with serving(home):
        began = time.time()
        for at in (("18:00",), ("7:30", "--timezone", "America/Lima"), ("+2h",)):
            made = understudy("cron", "add", "true", "--at", *at, home=home)
            assert made.code == 0, made.err
        listed = json.loads(understudy("cron", "list", "--json", home=home).out)["schedules"]
        span, lima, tokyo = (float(one["at"]) for one in listed)
    assert datetime.fromtimestamp(tokyo, ZoneInfo("Asia/Tokyo")).time().isoformat() == "18:00:00"
    assert datetime.fromtimestamp(lima, ZoneInfo("America/Lima")).time().isoformat() == "07:30:00"
    assert all(began < at <= time.time() + 86_400 for at in (tokyo, lima))
    assert began + 7200 <= span <= time.time() + 7200


@pytest.mark.req("CR-4")
def test_the_next_runs_of_an_expression_need_no_home(tmp_path: Path) -> None:
    """By the same rules as those of a schedule."""
    told = understudy(
        "cron", "next", "0 12 24 12 *", "--timezone", "Asia/Tokyo", "-n", "2", home=tmp_path / "no"
    )
    assert [line.split()[2:] for line in told.out.splitlines()] == [["12:00:00", "JST"]] * 2
    assert understudy("cron", "next", "0 0 31 2 *", home=tmp_path / "no").code == 6


@pytest.mark.req("CLI-1")
def test_send_wait_gives_up_in_time_and_says_that_nothing_is_lost(tmp_path: Path) -> None:
    """Exit code 9; the input's id is in the problem object."""
    home = tmp_path / "home"
    with serving(home):
        done = understudy("send", "/run sleep 30", "--wait", "--timeout", "0.5", "--json", home=home)
        assert done.code == 9
        assert done.problem["code"] == "timed_out"
        assert done.problem["id"] == "input-1"
        assert "not lost" in str(done.problem["detail"])


@pytest.mark.req("CLI-1", "MG-2")
def test_send_wait_survives_a_kill_of_the_server(tmp_path: Path) -> None:
    """The server is killed during the wait; the one that comes back gives the reply."""
    home = tmp_path / "home"
    with serving(home) as server:
        waiting = _start("send", "/run echo x >> began; sleep 1; echo the end", "--wait", home=home)
        wait_for(home / "work" / "began")
        server.kill()
        with serving(home):
            done = _end(waiting)
    assert done.code == 0, done.err
    assert done.out.endswith("the end\n")
    assert "attempt 2" in done.out


def _start(*arguments: str, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*UNDERSTUDY, *arguments, "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def _end(process: subprocess.Popen[str], timeout_s: float = 40.0) -> Done:
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return Done(process.returncode, out, err)


@pytest.mark.req("CLI-1")
def test_a_task_can_talk_to_the_server_that_runs_it(tmp_path: Path) -> None:
    """Its environment names its home: `understudy send` inside a task needs no option."""
    home = tmp_path / "home"
    with serving(home):
        command = f"/run {' '.join(UNDERSTUDY)} send 'a word from inside'"
        done = understudy("send", command, "--wait", home=home)
        assert "input-2" in done.out, done.out + done.err


@pytest.mark.req("CLI-1", "WK-2")
def test_cancel_ends_a_running_task_and_refuses_what_is_over_or_unknown(tmp_path: Path) -> None:
    """Codes 0, 6 and 5; the errors name the task."""
    home = tmp_path / "home"
    with serving(home):
        waiting = _start("send", "/run touch began; sleep 60", "--wait", home=home)
        wait_for(home / "work" / "began")
        assert understudy("tasks", "cancel", "task-1", home=home).code == 0
        assert "canceled" in _end(waiting).out
        assert understudy("send", "/run true", "--wait", home=home).code == 0
        over = understudy("tasks", "cancel", "task-2", "--json", home=home)
        assert (over.code, over.problem["status"]) == (6, 409)
        for identity in ("task-99", "../../healthz", "a b?c#d"):
            unknown = understudy("tasks", "cancel", identity, home=home)
            assert unknown.code == 5, unknown.err


@pytest.mark.req("CLI-1", "JR-8")
def test_resume_says_that_nothing_is_halted_and_knows_no_strangers(tmp_path: Path) -> None:
    """Code 0 when all is well, 5 for an actor that is not halted."""
    home = tmp_path / "home"
    with serving(home):
        assert understudy("resume", "--json", home=home).document == {"resumed": []}
        assert understudy("resume", "nobody", home=home).code == 5


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
@pytest.mark.req("JR-8", "CLI-1")
def test_a_halted_actor_is_shown_with_what_to_do_and_goes_on_after_resume(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: no write goes through until it is lifted."""
    home = tmp_path / "home"
    with serving(home) as server:
        assert understudy("send", "before", "--wait", home=home).code == 0
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, before[1]))
        refused = understudy("send", "meanwhile", "--json", home=home)
        assert (refused.code, refused.problem["status"]) == (1, 503)
        status = understudy("status", home=home)
        assert status.code == 1
        assert "halted" in status.out
        assert "understudy resume" in status.out
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
        resumed = understudy("resume", "--json", home=home)
        assert (resumed.code, "manager" in str(resumed.document["resumed"])) == (0, True)
        assert understudy("status", "--json", home=home).document["state"] == "ok"
        assert understudy("send", "after", "--wait", home=home).code == 0
        assert server.stop() == 0
    assert understudy("journal", "verify", home=home).code == 0


@pytest.mark.req("CLI-1", "JR-3")
def test_repair_leaves_a_home_alone_that_a_server_owns(tmp_path: Path) -> None:
    """Exit code 4, with the owner's pid."""
    home = tmp_path / "home"
    with serving(home) as server:
        done = understudy("journal", "repair", "--json", home=home)
        assert (done.code, done.problem["pid"]) == (4, server.process.pid)
        assert understudy("journal", "verify", home=home).code == 0


# -- without one


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize("command", [("send", "x"), ("tasks", "cancel", "task-1"), ("resume",)])
def test_commands_that_change_need_a_server_and_say_so(rested: Path, command: tuple[str, ...]) -> None:
    """Exit code 3, how to start one, and not a byte of the home changes."""
    before = _contents(rested)
    done = understudy(*command, "--json", home=rested)
    assert (done.code, done.problem["code"], done.out) == (3, "no_server", "")
    assert "understudy serve" in str(done.problem["detail"])
    assert _contents(rested) == before


def _contents(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.req("CLI-1")
def test_commands_that_read_leave_the_home_as_it_is(rested: Path) -> None:
    """Without a server they take no lock and write nothing, not even a log."""
    before = _contents(rested)
    for command in (
        ("status",),
        ("tasks", "list"),
        ("tasks", "show", "task-1"),
        ("journal", "tail"),
        ("journal", "verify"),
    ):
        done = understudy(*command, home=rested)
        assert (done.code, done.err) == (0, "")
    assert _contents(rested) == before


@pytest.mark.req("JR-1", "CLI-1")
def test_tail_prints_the_turns_of_a_journal_as_json_lines(rested: Path) -> None:
    """Every turn of one journal, numbered without gaps; of all journals, in the order of their time."""
    done = understudy("journal", "tail", "manager", "-n", "1000", "--json", home=rested)
    turns = [json.loads(line) for line in done.out.splitlines()]
    assert [turn["seq"] for turn in turns] == list(range(1, len(turns) + 1))
    assert turns[0]["events"][0]["type"] == "InputReceived"
    everything = understudy("journal", "tail", "-n", "1000", "--json", home=rested)
    times = [json.loads(line)["ts"] for line in everything.out.splitlines()]
    assert times == sorted(times)
    assert len(times) > len(turns)
    assert len(understudy("journal", "tail", "-n", "3", home=rested).out.splitlines()) == 3


@pytest.mark.req("CLI-1")
def test_tail_follows_what_comes_until_ctrl_c(tmp_path: Path) -> None:
    """Every turn once and in order, also of a journal that was not there when it began; then code 130."""
    home = tmp_path / "home"
    with serving(home):
        following = _start("journal", "tail", "--follow", "--json", home=home)
        assert following.stdout is not None
        assert understudy("send", "/run true", "--wait", home=home).code == 0
        seen: list[tuple[str, int]] = []
        for line in following.stdout:
            turn = json.loads(line)
            seen.append((turn["journal"], turn["seq"]))
            if any("in_reply_to" in json.dumps(event) for event in turn["events"]):
                break
        following.send_signal(signal.SIGINT)
        assert _end(following).code == 130
    for journal in ("manager", "workers"):
        numbers = [seq for name, seq in seen if name == journal]
        assert numbers == list(range(1, len(numbers) + 1)) != []


@pytest.mark.req("CLI-1")
def test_a_pipe_that_is_closed_early_is_no_traceback(rested: Path) -> None:
    """`understudy journal tail | true` ends quietly."""
    command = f"{' '.join(UNDERSTUDY)} journal tail -n 1000 --home {rested} | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""


@pytest.mark.req("JR-3", "CLI-1")
def test_a_damaged_journal_is_told_with_its_place_and_repaired_on_demand(damaged: Path) -> None:
    """Verify and status exit with 7 and name file, line and offset; after repair all is whole."""
    done = understudy("journal", "verify", "--json", home=damaged)
    assert (done.code, done.document["whole"]) == (7, False)
    (report,) = [one for one in _list(done.document["journals"]) if one["name"] == "workers"]
    (damage,) = _list(report["damage"])
    assert damage["line"] == 3
    for command in (("journal", "verify"), ("status",)):
        human = understudy(*command, home=damaged)
        assert human.code == 7
        assert str(damage["file"]) in human.out
        assert "line 3, offset" in human.out
        assert "repair" in human.out
    assert understudy("journal", "tail", "workers", home=damaged).code == 7
    assert understudy("journal", "repair", home=damaged).code == 0
    assert understudy("journal", "verify", home=damaged).code == 0
    with serving(damaged):
        assert understudy("send", "/run echo alive", "--wait", home=damaged).code == 0


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value  # pyright: ignore[reportUnknownVariableType] -- of JSON


@pytest.mark.req("JR-3", "CLI-1")
def test_an_answer_from_damaged_files_says_what_it_lacks(damaged: Path) -> None:
    """The tasks before the damage are listed; standard error names the journal; exit code 7."""
    done = understudy("tasks", "list", "--json", home=damaged)
    assert done.code == 7
    assert _list(done.document["tasks"])
    assert "workers" in str(done.problem["detail"])


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize("columns", [40, 100])
def test_what_people_read_fits_their_terminal_and_has_no_colour_on_a_pipe(rested: Path, columns: int) -> None:
    """No line of a table is wider than the terminal."""
    for command in READING:
        done = understudy(*command, home=rested, COLUMNS=str(columns))
        assert done.code == 0
        assert COLOUR not in done.out
        tables = [line for line in done.out.splitlines() if str(rested) not in line]
        assert max(map(len, tables)) <= columns


# -- the demo


@pytest.mark.req("CLI-1")
def test_the_demo_keeps_every_promise_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A real kill, each check computed and kept; folder and processes are gone afterwards."""
    done = understudy("demo", "--json", TMPDIR=str(tmp_path))
    assert done.code == 0, done.out + done.err
    checks = _list(done.document["checks"])
    assert len(checks) >= 10
    assert all(check["kept"] for check in checks)
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []


@pytest.mark.req("CLI-1")
def test_the_demo_plays_in_a_home_that_is_named_and_leaves_it(tmp_path: Path) -> None:
    """`--home` works as for every command; a folder that has something in it is left alone."""
    home, temporary = tmp_path / "new" / "home", tmp_path / "temporary"
    temporary.mkdir()
    done = understudy("demo", "--json", home=home, TMPDIR=str(temporary))
    assert done.code == 0, done.out + done.err
    assert all(check["kept"] for check in _list(done.document["checks"]))
    assert list(temporary.iterdir()) == []
    assert understudy("journal", "verify", home=home).code == 0
    again = understudy("demo", home=home)
    assert again.code == 6
    assert "expected a new or an empty folder" in again.err


@pytest.mark.req("CLI-1")
def test_the_demo_can_be_kept_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    """With --keep the viewer's address answers until SIGINT; the folder stays, the server does not."""
    environment = clean_environment(TMPDIR=str(tmp_path))
    command = [*UNDERSTUDY, "demo", "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        home = ""
        for line in process.stdout:
            if (found := re.search(r"--home (\S+)", line)) is not None:
                home = found[1]
                break
        assert understudy("status", "--json", home=Path(home)).document["state"] == "ok"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 0
    assert Path(home).is_dir()
    assert _processes_of(tmp_path) == []


@pytest.mark.req("CLI-1")
def test_a_demo_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM in the middle ends the server and removes the folder; exit code 130."""
    process = _demo_in(tmp_path)
    end = time.monotonic() + 20
    while not list(tmp_path.glob("*/home/prompt-book.txt")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert _end(process).code == 130
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []


def _demo_in(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*UNDERSTUDY, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(TMPDIR=str(folder)),
    )


def _processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder, or whose environment does."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            marked = (
                process.environ().get("UNDERSTUDY_HOME", "") if process.uids().real == os.getuid() else ""
            )
        except psutil.Error:
            continue
        if process.pid != os.getpid() and (str(folder) in line or marked.startswith(str(folder))):
            found.append(line)
    return found


@pytest.mark.req("CLI-1")
@pytest.mark.req("WK-3")
def test_tasks_add_makes_a_task_by_the_rules_and_says_which_one_refused(tmp_path: Path) -> None:
    """Options become the task's fields; a refusal names rule and task, a slip says how it is written."""
    home = tmp_path / "home"
    with serving(home):
        made = understudy(
            "tasks", "add", "--queue", "slow", "--fingerprint", "one", "--env", "WHO=me", "--key", "k",
            "--", "sh", "-c", "echo hello $WHO; sleep 60", UNDERSTUDY_HOME=str(home),
        )  # fmt: skip
        assert (made.code, made.out) == (0, "task-1\n")
        shown = understudy("tasks", "show", "task-1", "--json", home=home).document
        assert (shown["queue"], shown["title"]) == ("slow", "sh -c echo hello $WHO; sleep 60")
        refused = understudy("tasks", "add", "--fingerprint", "one", "true", home=home)
        assert refused.code == 6
        assert "fingerprint" in refused.err
        assert "task-1" in refused.err
        for given, says in (
            ((), "expected a COMMAND to run, got none"),
            (("--env", "WHO", "true"), "expected --env NAME=VALUE, got 'WHO'"),
            (("--executor", "python", "--arguments", "[1]"), "expected --arguments as a JSON object"),
        ):
            slip = understudy("tasks", "add", *given, home=home)
            assert slip.code == 2
            assert says in slip.err
        assert understudy("tasks", "cancel", "task-1", home=home).code == 0
    without = understudy("tasks", "add", "true", home=home)
    assert without.code == 3
