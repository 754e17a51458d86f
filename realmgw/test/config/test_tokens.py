"""Tests for `realmgw.config.tokens`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.tokens import read_token
from realmgw.errors import PlatformError


class FileTests(SynchronousTestCase):
    """Files that tokens are in."""

    def test_reads_a_file_of_one_line(self) -> None:
        """And says what is wrong with others."""
        path = Path(self.mktemp())
        self.assertIn("can not be read", str(self.assertRaises(PlatformError, read_token, path)))
        path.write_text("0123456789abcdef\n")
        self.assertEqual(read_token(path), "0123456789abcdef")
        for text in ("", "short", "two tokens-of-enough-length", "a" * 600):
            path.write_text(text)
            self.assertIn("holds no token", str(self.assertRaises(PlatformError, read_token, path)))
        path.write_bytes(b"0123456789\xffabcdef")
        said = str(self.assertRaises(PlatformError, read_token, path))
        self.assertEqual(said, f"{path} can not be read as a token: it is no text")
