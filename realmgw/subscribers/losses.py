"""Which losses of hosts are not believed until somebody says that they are meant.

A file that was emptied by a copy on a full disk, a folder whose file system was unmounted and a database that was lost
say the same as an operator who has removed all of it: nothing. He is asked; everybody else has lost something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import attrs

FEW = 10
"""So many hosts may always go, unless their source says nothing any more."""
MOST_OF_SOURCE = 0.5
"""A source that is still there may lose this share of its hosts."""

HINT = "`realmgw reload --accept-loss` takes it as it is"


@attrs.frozen
class Loss:
    """What a source would take away."""

    source: str
    """Its name."""
    had: int
    """So many hosts it has."""
    lost: int
    """So many of them would be gone, and told by no other source."""
    left: int
    """So many it says now."""
    is_gone: bool
    """It is not there any more."""


def doubtful(
    losses: Collection[Loss], hosts: int, share: float, folders: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """The losses that are not believed, with a line for each that says why, and what to do.

    Args:
        losses: All that would be lost at once.
        hosts: How many there are in all.
        share: Of these may go at once, if they are more than `FEW`.
        folders: Those that have files still.
    """
    lost = sum(each.lost for each in losses)
    gone = Counter(folder_of(each.source) for each in losses if each.is_gone)
    emptied = {folder for folder, count in gone.items() if count > 1 and folder not in folders}
    for each in losses:
        why = _doubt(each, lost, hosts, share, is_emptied=folder_of(each.source) in emptied) if each.lost else None
        if why is not None:
            yield each.source, f"{each.source}:1:1: {why}: its {each.had} hosts stay; {HINT}"


def _doubt(each: Loss, lost: int, hosts: int, share: float, *, is_emptied: bool) -> str | None:
    """Why a loss is not believed; None if it is."""
    if not each.left and not each.is_gone:
        return "it has no hosts any more"
    if not each.is_gone and share < 1 and each.lost > max(FEW, MOST_OF_SOURCE * each.had):
        return f"{each.lost} of its {each.had} hosts are missing"
    if lost > max(FEW, share * hosts):
        return f"{lost} of all {hosts} hosts would be gone at once"
    return "all files of its folder are gone at once" if each.is_gone and is_emptied else None


def folder_of(source: str) -> str:
    """Where a source is, if it is a file."""
    return source.rpartition("/")[0]
