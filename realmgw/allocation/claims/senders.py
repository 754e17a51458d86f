"""The senders that a reservation has let in, and lets in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow

SOURCES = 1024
"""How many admitted senders a reservation remembers."""
SOURCES_ANY = 64
"""Beyond so many, those are forgotten whom it would not help any more."""


def make_room(sources: dict[bytes, tuple[float, Flow]], src: bytes, useless: float) -> None:
    """Forget the senders of old for whom it is of no use any more, and one of them if there are too many.

    Args:
        sources: By packed address: since when they have the right to come again, and a flow of theirs.
        src: Who comes; he is to be put last, and is not there until then.
        useless: Who has it since then, in monotonic seconds, or for longer, has it no more.
    """
    sources.pop(src, None)
    gone = []
    for known, (since, _) in sources.items():
        if since >= useless:
            break
        gone.append(known)
    for known in gone:
        del sources[known]
    if len(sources) >= SOURCES:
        del sources[next(iter(sources))]
