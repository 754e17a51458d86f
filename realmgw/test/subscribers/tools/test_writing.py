"""Tests for `realmgw.subscribers.tools.writing`."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.schema import entries
from realmgw.subscribers.tools.writing import written
from realmgw.test.subscribers.examples import ENTRIES
from realmgw.test.subscribers.test_schema import ESTABLISHED


def read(text: str) -> list[Entry]:
    """The entries of a file without problems."""
    problems = Problems("f")
    root = parse(text.encode(), problems)
    assert root is not None
    found = entries(root, problems)
    assert not problems.found, (text, problems.lines())
    return found


class WrittenTests(SynchronousTestCase):
    """`written` makes subscriber files."""

    @settings(max_examples=80, deadline=None)
    @given(ENTRIES)
    def test_what_is_written_is_read_as_the_same(self, entry: Entry) -> None:
        """Whatever the subscriber is; a value has no place in a text, but what was read has."""
        [read_again] = read(written([entry]))
        found = attrs.evolve(read_again, groups_at=None)
        self.assertEqual(attrs.astuple(found, recurse=False), attrs.astuple(entry, recurse=False))

    def test_the_established_style_becomes_plain(self) -> None:
        """With words for protocols, and without what is the default."""
        text = written(read(ESTABLISHED))
        self.assertTrue(text.startswith("ue001.example.org:\n  address: 192.168.0.1\n  max_claims: 3\n"))
        self.assertIn("    ssh.ue001.example.org:\n      protocol: tcp\n      port: 22\n", text)
        self.assertIn("    ue001.example.org: ~\n", text)
