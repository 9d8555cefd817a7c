"""The journals: every persistent actor's truth, one JSON Lines folder each."""

from understudy.supervision.journal.journal import Journal, Journals, JournalSettings, journal_names
from understudy.supervision.journal.line import is_sealed, seal
from understudy.supervision.journal.replay import TornTail
from understudy.supervision.journal.scan import Chunk
from understudy.supervision.journal.snapshots import Snapshot

__all__ = [
    "Chunk",
    "Journal",
    "JournalSettings",
    "Journals",
    "Snapshot",
    "TornTail",
    "is_sealed",
    "journal_names",
    "seal",
]
