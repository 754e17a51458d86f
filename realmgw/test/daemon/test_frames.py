"""What a process beside is told, in whatever pieces it comes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.daemon.frames import Frames, frame

NEWS: tuple[Any, ...] = (
    ("hosts", 1.5, [(b"\xc0\xa8\0\1", "one.example.org.", ("gold",)), (b"\0", None, ())]),
    ("opened", []),
)


class FramesTests(SynchronousTestCase):
    """There and back."""

    def test_news_come_whole(self) -> None:
        """Octet by octet, or all at once."""
        said = b"".join(frame(*news) for news in NEWS)
        self.assertEqual(tuple(Frames().take(said)), NEWS)
        frames = Frames()
        found = [news for at in range(len(said)) for news in frames.take(said[at : at + 1])]
        self.assertEqual(tuple(found), NEWS)
