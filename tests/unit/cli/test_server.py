"""Who owns a home: the lock itself decides, not what the lock file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.cli.exits import CommandFailed, Exit
from understudy.cli.server import address_of, owner_of, require_server
from understudy.supervision.home import Home


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_an_owner_is_believed_only_while_the_lock_is_held(tmp_path: Path) -> None:
    """Rule H2: a file that names a living process (its pid may be another's by now) proves nothing."""
    home = Home(tmp_path)
    assert owner_of(tmp_path) is None
    with home.own() as owned:
        owned.announce("http://127.0.0.1:1")
        left_behind = home.lock_file.read_bytes()
        owner = owner_of(tmp_path)
        assert owner is not None
        assert (owner.pid, owner.address) == (os.getpid(), "http://127.0.0.1:1")
        assert address_of(tmp_path) == "http://127.0.0.1:1"
    home.lock_file.write_bytes(left_behind)
    assert home.owner() is not None
    assert owner_of(tmp_path) is None


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_looking_for_the_owner_does_not_take_the_lock(tmp_path: Path) -> None:
    """Rule H2: after any number of looks the home can be owned at once."""
    home = Home(tmp_path)
    with home.own():
        pass
    for _ in range(3):
        assert owner_of(tmp_path) is None
        with home.own():
            assert owner_of(tmp_path) is not None


@pytest.mark.req("CLI-1")
def test_an_owner_that_does_not_listen_is_told_with_its_pid(tmp_path: Path) -> None:
    """A program that embeds the home, or a server that is still starting: exit code 3."""
    with Home(tmp_path).own(), pytest.raises(CommandFailed) as caught:
        require_server(tmp_path, "send")
    assert caught.value.problem.exit == Exit.NO_SERVER
    assert str(os.getpid()) in caught.value.problem.detail


@pytest.mark.req("CLI-1")
@pytest.mark.rule("H2")
def test_a_deleted_lock_file_is_told_instead_of_no_server(tmp_path: Path) -> None:
    """To start another server would be the wrong advice: it would be refused."""
    home = Home(tmp_path)
    with home.own():
        home.lock_file.unlink()
        with pytest.raises(CommandFailed, match=r"state/lock, which names .* is missing.*start it again"):
            require_server(tmp_path, "send")
