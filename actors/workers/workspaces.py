"""Where tasks may work: below allowed roots, and never where it reaches the runtime's own files (WK-8)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.actors.own_folders import OWN_FOLDERS
from understudy.protocols.errors import BadWorkspace
from understudy.supervision.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterable


class Workspaces:
    """Resolves the folders that tasks name. Links and `..` are followed before anything is compared.

    Args:
        home: the home's folder.
        roots: further folders below which tasks may work, besides `work/` in the home.
    """

    def __init__(self, home: Path, roots: Iterable[Path] = ()) -> None:
        self.default = home / "work"
        self._own = tuple(home / name for name in OWN_FOLDERS)
        self._roots = (self.default, *roots)

    def resolve(self, workspace: str | None) -> Path:
        """The folder itself, without links. It may not be there yet.

        Looked at when the task is made and again when an attempt starts, since links can change.

        Raises:
            BadWorkspace: it is not allowed, or is no folder.
        """
        workspace = "." if workspace is None else workspace
        folder = _real(self.default / workspace)
        for own in self._own:
            if _overlap(folder, _real(own)):
                msg = (
                    f"expected a folder to work in, got {workspace!r}, which reaches {own}: "
                    "that is the runtime's own; name another one"
                )
                raise BadWorkspace(msg)
        if not any(folder.is_relative_to(_real(root)) for root in self._roots):
            known = ", ".join(str(root) for root in self._roots)
            msg = (
                f"expected a folder to work in below {known}, got {workspace!r}, which is {folder}: "
                "use one of these, or add a root to `workspaces` in the configuration"
            )
            raise BadWorkspace(msg)
        if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112 - Path's raise for some
            msg = f"expected a folder to work in, got {workspace!r}, which is something else"
            raise BadWorkspace(msg)
        return folder

    def enter(self, workspace: str | None) -> Path:
        """The folder, made where it is missing. Blocks on the disk.

        Raises:
            BadWorkspace: see `resolve`; or it can't be made.
        """
        folder = self.resolve(workspace)
        try:
            Files().make_folders(folder)
        except OSError as error:
            msg = f"expected a folder to work in that can be made, got {str(folder)!r}: {error}"
            raise BadWorkspace(msg) from error
        return folder


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
