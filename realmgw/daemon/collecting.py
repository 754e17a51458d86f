"""The garbage collector of a process of ours, once that runs. Edge: this process."""

from __future__ import annotations

import gc

THRESHOLDS = 500_000, 20, 100
"""Claims live for seconds, and leave no cycles behind: at any rate that a core can serve, the collector finds nothing
among them, and only makes everybody wait (10 ms for each 50 000 objects). What it is for, connections and failures that
refer to each other, is rare enough to come to half a million objects once in a long while."""


def settle() -> None:
    """What was loaded stays for good: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
