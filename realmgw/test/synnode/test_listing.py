"""Tests for `realmgw.synnode.listing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.synnode import rules
from realmgw.synnode.listing import MAPS, listed
from realmgw.synproxy.codec import TcpOptions
from realmgw.test.synnode.keys import FULL, HOST, HOST6, PLAIN, packed

NFT = """table inet realmgw_synproxy {
	map services4 {
		type ipv4_addr . inet_service : synproxy
		elements = { 203.0.113.5 . 80 : "m1460w7s", 203.0.113.6 . 443 : "m536w1",
			203.0.113.7 . 1 : "others", 203.0.113.8 . 1 : "m0w1", 203.0.113.9 . 1 : "m1w15" }
	}
}
"""


class ListedTests(SynchronousTestCase):
    """`listed`."""

    def test_reads_what_nft_lists(self) -> None:
        """What is not of our making is left out."""
        expected = {(packed(HOST), 80): FULL, (packed("203.0.113.6"), 443): PLAIN}
        self.assertEqual(dict(listed("services4", NFT)), expected)

    def test_what_was_written_is_read(self) -> None:
        """Of each map; defaults are the configuration's."""
        options = TcpOptions(1, True, 14)
        targets = [(address, port) for address in (bytes(4), bytes(16), packed(HOST), packed(HOST6)) for port in (0, 9)]
        written = {}
        for target in targets:
            name, key = rules.place(target)
            written[name] = f'{{ {key.text} : "{rules.object_name(options)}" }}'
        found = {target: each for name in MAPS for target, each in listed(name, written[name])}
        self.assertEqual(found, dict.fromkeys((each for each in targets if each not in rules.DEFAULTS), options))

    def test_nonsense_is_nothing(self) -> None:
        """Whatever stands in the place of an address."""
        self.assertEqual(list(listed("addresses4", 'elements = { 1.2 : "m1w1", fe : "m1w1" }')), [])
