"""The home: one owner, a format, paths (JR-7, rule H2)."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from understudy.protocols.errors import HomeError, HomeInUse, HomeNotWritable, NewerVersion
from understudy.supervision.home import Home, Owner
from understudy.supervision.testing.files import FaultyFiles

HOLD = """
import sys
from pathlib import Path
from understudy.supervision.home import Home
owned = Home(Path(sys.argv[1])).own()
owned.announce("http://127.0.0.1:8000")
print("owned", flush=True)
sys.stdin.readline()
"""


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_second_process_is_told_who_owns_the_home(tmp_path: Path) -> None:
    """It gets pid and address; when the owner is killed, the kernel lets go of the lock."""
    home = Home(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        assert home.owner() == Owner(pid=owner.pid, address="http://127.0.0.1:8000")
        with pytest.raises(HomeInUse, match=f"process {owner.pid}, which serves http://127") as caught:
            home.own()
        assert (caught.value.pid, caught.value.address) == (owner.pid, "http://127.0.0.1:8000")
        owner.kill()
        owner.wait(5)
    assert home.owner() is None
    with home.own():
        assert home.owner() == Owner(pid=os.getpid(), address=None)


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_deleting_the_lock_file_lets_no_second_process_in(tmp_path: Path) -> None:
    """The folder it lies in is locked too, and the owner that is alive keeps it."""
    owning = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(owning, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        Home(tmp_path).lock_file.unlink()
        second = subprocess.run(owning, capture_output=True, text=True, check=False, timeout=5)
        assert second.stdout == ""
        assert "HomeInUse" in second.stderr
        assert not Home(tmp_path).lock_file.exists()
        owner.kill()
        owner.wait(5)
    Home(tmp_path).own().release()


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_two_systems_of_one_process_can_not_share_a_home(tmp_path: Path) -> None:
    """Unlike fcntl locks, and also after somebody has read and closed the lock file."""
    home = Home(tmp_path)
    with home.own():
        home.lock_file.read_bytes()
        with pytest.raises(HomeInUse) as caught:
            Home(tmp_path).own()
        assert caught.value.pid == os.getpid()
    Home(tmp_path).own().release()


@pytest.mark.rule("H2")
def test_child_process_does_not_keep_the_home_locked(tmp_path: Path) -> None:
    """The lock's descriptor is closed when another program is started."""
    owned = Home(tmp_path).own()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        owned.release()
        own_soon(tmp_path)
        child.communicate(b"\n", 5)


def own_soon(path: Path) -> None:
    """Own and release the home. Linux lets the parent of a spawn go on just before exec closes the files."""
    deadline = time.monotonic() + 5
    while True:
        try:
            Home(path).own().release()
        except HomeInUse:
            assert time.monotonic() < deadline
        else:
            return


@pytest.mark.req("JR-7")
def test_refused_owner_changes_nothing(tmp_path: Path) -> None:
    """The lock file still names the first one."""
    home = Home(tmp_path)
    with home.own() as owned:
        owned.announce("http://127.0.0.1:1")
        with pytest.raises(HomeInUse):
            home.own()
        assert json.loads(home.lock_file.read_bytes()) == {
            "pid": os.getpid(),
            "address": "http://127.0.0.1:1",
        }


def test_home_is_made_with_its_format_and_for_its_owner_only(tmp_path: Path) -> None:
    """Missing parents too; released twice is released once."""
    home = Home(tmp_path / "x" / "y")
    owned = home.own()
    assert json.loads(home.format_file.read_bytes()) == {"format": 1}
    assert home.journals.is_dir()
    assert home.state.stat().st_mode & 0o077 == 0
    owned.release()
    owned.release()
    assert home.owner() is None


def test_home_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    """Says both formats; no folder is made in it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "format.json").write_text('{"format": 7}')
    with pytest.raises(NewerVersion, match="has format 7, and this version reads up to 1"):
        Home(tmp_path).own()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["format.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        *(
            f'{{"format": {value}}}'
            for value in ('"new"', "0", "-1", '"1"', "true", "1.0", "null", "[]", "NaN")
        ),
    ],
)
def test_format_file_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    """An error that names the file."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "format.json").write_text(text)
    with pytest.raises(HomeError, match=r"format\.json"):
        Home(tmp_path).own()


def test_home_that_is_a_file_is_not_writable(tmp_path: Path) -> None:
    """The error names the path and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeNotWritable, match=r"can't be used as a home.*Choose another folder"):
        Home(tmp_path / "file" / "home").own()


@pytest.mark.parametrize("operation", ["mkdir", "sync_folder", "make", "write_at", "fdatasync", "replace"])
def test_home_on_a_failing_disk_is_not_writable_and_not_kept(tmp_path: Path, operation: str) -> None:
    """Whatever step fails: a clear error, and the next attempt works."""
    files = FaultyFiles(tmp_path)
    files.fail(operation)
    with pytest.raises(HomeNotWritable, match="can't be used as a home"):
        Home(tmp_path / "home", files).own()
    Home(tmp_path / "home", files).own().release()


@pytest.mark.rule("J2")
def test_new_home_survives_a_power_failure(tmp_path: Path) -> None:
    """Its folders and its format are durable when it is owned."""
    files = FaultyFiles(tmp_path)
    Home(tmp_path / "x" / "home", files).own().release()
    files.power_failure()
    home = Home(tmp_path / "x" / "home")
    assert home.journals.is_dir()
    assert json.loads(home.format_file.read_bytes()) == {"format": 1}


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_a_lock_that_a_dead_owners_child_still_holds_is_waited_for(tmp_path: Path) -> None:
    """A child is forked with the descriptor, and lets go of it when it execs: a moment later."""
    home = Home(tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    home.own().release()
    holding = os.open(home.lock_file, os.O_RDWR)
    os.write(holding, Owner(pid=dead.pid).model_dump_json().encode())
    fcntl.flock(holding, fcntl.LOCK_EX)
    with subprocess.Popen(["/bin/sleep", "0.2"], pass_fds=[holding]):
        os.close(holding)
        with home.own():
            assert home.owner() == Owner(pid=os.getpid())
