"""The home: where a system keeps everything, in which format, and who owns it (rule H2).

HOME/state/format.json    {"format": 1}
HOME/state                held with flock by the owner: a file can be deleted under it
HOME/state/lock           {"pid": …, "address": …} of the owner, held as well
HOME/state/journals/      a folder for each persistent actor
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudy.protocols.errors import HomeError, HomeInUse, HomeNotWritable, NewerVersion
from understudy.supervision.files import LOCKFILE, READ, Files

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
_PRIVATE_FOLDERS = ("state", "state/journals", "history", "logs", "work")
"""Made by the runtime, and closed to others also where something else made them open."""
_OWNER_BYTES = 4096
_PATIENCE_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


class Owner(BaseModel):
    """Who holds a home: its process, and where it serves (None while it does not)."""

    model_config = ConfigDict(frozen=True)

    pid: int
    address: str | None = None


class _Format(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: int = Field(ge=1, strict=True)


class Home:
    """The paths of a home. Making one touches nothing; readers need no more than this.

    Attributes:
        path: HOME, absolute (environment marks of child processes name it).
        state: HOME/state.
        journals: HOME/state/journals.
    """

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path.absolute()
        self.state = self.path / "state"
        self.journals = self.state / "journals"
        self.lock_file = self.state / "lock"
        self.format_file = self.state / "format.json"
        self.files = files or Files()

    def check_format(self) -> None:
        """Refuse what this version can't read; a home without a format file is new, and fine.

        Raises:
            NewerVersion: a newer version of Understudy wrote the home.
            HomeError: the format file can't be read.
        """
        try:
            found = _Format.model_validate_json(self.files.read_all(self.format_file)).format
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValidationError) as error:
            msg = f'{self.format_file}: expected {{"format": {FORMAT}}}, got: {error}'
            raise HomeError(msg) from error
        if found > FORMAT:
            msg = (
                f"{self.path} has format {found}, and this version reads up to {FORMAT}. "
                "Nothing was changed; use the version of Understudy that wrote it, or a newer one"
            )
            raise NewerVersion(msg)

    def owner(self) -> Owner | None:
        """The owner that the lock file names, if that process is alive. Takes no lock."""
        owner = self._named_owner()
        return owner if owner is not None and _is_alive(owner.pid) else None

    def own(self) -> OwnedHome:
        """Take the home for this process, making it where it is missing.

        Raises:
            HomeInUse: another system has it, of this process or of another; names its pid.
            HomeNotWritable: the folders or files can't be made or written.
            NewerVersion: a newer version wrote it.
        """
        self.check_format()
        try:
            self.files.make_folders(self.journals)
            for name in _PRIVATE_FOLDERS:
                self.files.keep_private(self.path / name)
        except OSError as error:
            raise self._not_writable(error) from error
        with ExitStack() as undo:
            # Both: who deletes the file lets nobody in, and on NFS only files are locked for other machines.
            folder_fd = self._take(self.state, READ, undo)
            fd = self._take(self.lock_file, LOCKFILE, undo)
            self.check_format()
            owned = OwnedHome(self, fd, folder_fd)
            self._settle(owned)
            undo.pop_all()
        return owned

    def _take(self, path: Path, flags: int, undo: ExitStack) -> int:
        try:
            fd = self.files.open(path, flags)
        except OSError as error:
            raise self._not_writable(error) from error
        undo.callback(self.files.close, fd)
        self._lock(fd)
        return fd

    def _lock(self, fd: int) -> None:
        try:
            self._lock_patiently(fd)
        except BlockingIOError:
            owner = self._named_owner()
            who = "another process" if owner is None else f"process {owner.pid}"
            where = f", which serves {owner.address}" if owner and owner.address else ""
            msg = f"{self.path} is in use by {who}{where}: stop it first, or use another home"
            raise HomeInUse(
                msg, pid=owner.pid if owner else None, address=owner.address if owner else None
            ) from None
        except OSError as error:
            raise self._not_writable(error) from error

    def _lock_patiently(self, fd: int) -> None:
        # A child that the owner forked holds the descriptor until it has exec'd, also when the owner
        # was killed in that moment: an owner that is dead is given the time for it. So is one that has not
        # yet written who it is, to be named.
        for pause_s in _PATIENCE_S:
            try:
                return self.files.lock(fd)
            except BlockingIOError:
                owner = self._named_owner()
                if owner is not None and _is_alive(owner.pid):
                    raise
                time.sleep(pause_s)
        return self.files.lock(fd)

    def _settle(self, owned: OwnedHome) -> None:
        try:
            owned.announce(None)
            if self.format_file.name not in self.files.listdir(self.state):
                self.files.publish(
                    self.format_file, _Format(format=FORMAT).model_dump_json().encode() + b"\n"
                )
        except OSError as error:
            raise self._not_writable(error) from error

    def _named_owner(self) -> Owner | None:
        try:
            return Owner.model_validate_json(self.files.read_all(self.lock_file))
        except (OSError, ValidationError):
            return None

    def _not_writable(self, error: OSError) -> HomeNotWritable:
        msg = (
            f"{self.path} can't be used as a home: {error}. Choose another folder, or make this one writable"
        )
        return HomeNotWritable(msg)


class OwnedHome:
    """A home that this process holds until `release`, or until its death (the kernel's doing).

    The descriptors are close-on-exec: a child that kept them would keep the home locked after a SIGKILL.
    """

    def __init__(self, home: Home, fd: int, folder_fd: int) -> None:
        self.home = home
        self._fd = fd
        self._folder_fd = folder_fd

    def announce(self, address: str | None) -> None:
        """Write our pid and the server's address into the lock file.

        Raises:
            OSError: the disk.
        """
        files = self.home.files
        data = Owner(pid=os.getpid(), address=address).model_dump_json().encode()
        # padded, in one write over the old one: a reader never sees a mixture or an empty file
        files.write_at(self._fd, data.ljust(_OWNER_BYTES - 1) + b"\n", 0)

    def release(self) -> None:
        """Let the home go. The lock file stays, empty."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                self.home.files.truncate(fd, 0)
            self.home.files.close(fd)
            self.home.files.close(self._folder_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
