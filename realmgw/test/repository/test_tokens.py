"""Tests for `realmgw.repository.tokens`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.repository.tokens import Access, Tokens, read_token


class TokensTests(SynchronousTestCase):
    """Who may do what."""

    def test_each_token_has_its_access(self) -> None:
        """Others have none; they are not shown."""
        tokens = Tokens("write-write-write", "read-read-read-read")
        for field, access in (
            ("Bearer write-write-write", Access.WRITE),
            ("bearer read-read-read-read", Access.READ),
            ("Bearer read", Access.NOTHING),
            ("Basic write-write-write", Access.NOTHING),
            ("Bearer \u20ac", Access.NOTHING),
            ("", Access.NOTHING),
            (None, Access.NOTHING),
        ):
            self.assertIs(tokens.access(field), access, field)
        self.assertNotIn("write-write", repr(tokens))

    def test_without_tokens_everybody_may_write(self) -> None:
        """Who can connect at all."""
        self.assertIs(Tokens().access(None), Access.WRITE)

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
