"""Tensors with time: a ring of newest frames, a bounded long-term memory, and recall.

It knows no camera, no model, no network and no event loop.
"""

from memory.consolidation import Appended, Consolidator
from memory.gaps import Gap, GapLog
from memory.long_term import LongTermMemory, LongTermView
from memory.memory import Memory, MemoryFill, Reach
from memory.policy import Policy, PolicyName, policy_of
from memory.recall import Evidence, EvidenceBuffer, EvidenceSlot, recall
from memory.ring import DueRun, RingView, ShortTermMemory
from memory.similarity_merge import Consolidated, consolidate

__all__ = [
    "Appended",
    "Consolidated",
    "Consolidator",
    "DueRun",
    "Evidence",
    "EvidenceBuffer",
    "EvidenceSlot",
    "Gap",
    "GapLog",
    "LongTermMemory",
    "LongTermView",
    "Memory",
    "MemoryFill",
    "Policy",
    "PolicyName",
    "Reach",
    "RingView",
    "ShortTermMemory",
    "consolidate",
    "policy_of",
    "recall",
]
