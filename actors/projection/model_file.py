"""The model's file: what a checkpoint goes with (rule P1). Written and synced before the checkpoint is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import ValidationError

from understudy.actors.projection.model import FORMAT, ModelDump, ReadModel
from understudy.supervision.journal.line import TAIL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.supervision.files import Files

log = logging.getLogger(__name__)
_PREFIX = "model-"


def write_model(files: Files, folder: Path, name: str, dump: ModelDump) -> None:
    """Write `dump` to `folder/name`; durable when it returns. Blocks.

    Raises:
        OSError.
    """
    files.make_folders(folder)
    files.publish(folder / name, seal(dump.model_dump_json(warnings=False).encode()[:-1]))


def read_model(files: Files, folder: Path, name: str) -> ReadModel | None:
    """The model in `folder/name`; None when it is missing, damaged, or of another format. Blocks."""
    try:
        data = files.read_all(folder / name)
        if not is_sealed(data):
            raise ValueError("the checksum is wrong")
        dump = ModelDump.model_validate_json(data[:-TAIL_BYTES] + b"}")
        if dump.format != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {dump.format}")
    except (OSError, ValueError, ValidationError) as error:
        extra = {"action": "model_rebuilt", "file": name}
        log.warning("%s can't be used, the read model is built anew: %s", name, error, extra=extra)
        return None
    return ReadModel.load(dump)


def file_name(epoch: int, number: int) -> str:
    """A name that no other start of the projection uses."""
    return f"{_PREFIX}{epoch}-{number}.json"


def remove_others(files: Files, folder: Path, name: str) -> None:
    """Remove the files of older checkpoints. What can't be removed is left for the next time. Blocks."""
    for other in files.listdir(folder):
        if other.startswith(_PREFIX) and other != name:
            try:
                files.unlink(folder / other)
            except OSError as error:
                log.warning(
                    "%s was not removed: %s", other, error, extra={"action": "model_left", "file": other}
                )
