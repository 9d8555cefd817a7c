"""The journals: every persistent actor's truth, one JSON Lines folder each."""

from understudy.supervision.journal.exchange import NO_CLAIM, Claim, claims_on
from understudy.supervision.journal.journal import Journal, Journals, JournalSettings
from understudy.supervision.journal.line import is_sealed, seal
from understudy.supervision.journal.readers import JournalReader, last_lines
from understudy.supervision.journal.repair import RepairReport, repair_journal
from understudy.supervision.journal.replay import TornTail
from understudy.supervision.journal.retention import Retention
from understudy.supervision.journal.scan import Chunk
from understudy.supervision.journal.segments import journal_names
from understudy.supervision.journal.snapshots import Snapshot
from understudy.supervision.journal.verify import Damage, JournalReport, verify, verify_journal

__all__ = [
    "NO_CLAIM",
    "Chunk",
    "Claim",
    "Damage",
    "Journal",
    "JournalReader",
    "JournalReport",
    "JournalSettings",
    "Journals",
    "RepairReport",
    "Retention",
    "Snapshot",
    "TornTail",
    "claims_on",
    "is_sealed",
    "journal_names",
    "last_lines",
    "repair_journal",
    "seal",
    "verify",
    "verify_journal",
]
