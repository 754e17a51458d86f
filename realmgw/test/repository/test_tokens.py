"""Tests for `realmgw.repository.tokens`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.tokens import Access, Tokens


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
