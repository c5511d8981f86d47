"""Tensors with time: a ring of newest frames, a bounded long-term memory, and recall.

It knows no camera, no model, no network and no event loop.
"""

from memory.archive import Archive
from memory.archive_reader import ArchiveReader, EncoderKind, KeptCamera
from memory.consolidation import Appended, Consolidator
from memory.errors import ArchiveError, DamagedArchiveError, NewerArchiveError
from memory.gaps import Gap, GapLog
from memory.long_term import LongTermMemory, LongTermView
from memory.memory import Memory, MemoryFill, Reach
from memory.moment import Chosen, KeptMoment, Moment
from memory.policy import Policy, PolicyName, policy_of
from memory.quantised import QuantisedTokens, quantise
from memory.recall import Evidence, EvidenceBuffer, EvidenceSlot, recall
from memory.recall_kept import recall_kept
from memory.retention import Retention
from memory.ring import DueRun, RingView, ShortTermMemory
from memory.similarity_merge import Consolidated, consolidate
from memory.unchanged import is_unchanged, units_of

__all__ = [
    "Appended",
    "Archive",
    "ArchiveError",
    "ArchiveReader",
    "Chosen",
    "Consolidated",
    "Consolidator",
    "DamagedArchiveError",
    "DueRun",
    "EncoderKind",
    "Evidence",
    "EvidenceBuffer",
    "EvidenceSlot",
    "Gap",
    "GapLog",
    "KeptCamera",
    "KeptMoment",
    "LongTermMemory",
    "LongTermView",
    "Memory",
    "MemoryFill",
    "Moment",
    "NewerArchiveError",
    "Policy",
    "PolicyName",
    "QuantisedTokens",
    "Reach",
    "Retention",
    "RingView",
    "ShortTermMemory",
    "consolidate",
    "is_unchanged",
    "policy_of",
    "quantise",
    "recall",
    "recall_kept",
    "units_of",
]
