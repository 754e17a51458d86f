"""Tests for `realmgw.datapath.watch.own`; what a kernel does about it is asked in realmgw.test.kernel."""

from __future__ import annotations

from pathlib import PurePath
from unittest.mock import Mock

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import client, ruleset
from realmgw.datapath.leading import leads
from realmgw.datapath.ruleset import Ruleset
from realmgw.datapath.watch.own import Own
from realmgw.datapath.watch.ownership import Tables
from realmgw.errors import RealmGatewayError
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.test.datapath.moves import change

SETTINGS = settings(MINIMAL)
BEFORE = Ruleset.of(SETTINGS, native_queue=True)


class PlacementsTests(SynchronousTestCase):
    """How often the whole table was another one."""

    def setUp(self) -> None:
        """Nothing stands yet."""
        self.patch(client, "standing", lambda table: Tables(table, None, None))
        self.nft = Mock()
        self.own = Own("realmgw", PurePath("state"), lambda: self.nft, Mock())

    def test_whatever_places_or_removes_it_counts(self) -> None:
        """A start or a repair, what a reload leads to and what leads back, and a purge."""
        after = attrs.evolve(BEFORE, reject_rate=BEFORE.reject_rate + 1)
        ways = leads((SETTINGS, BEFORE), (SETTINGS, after), change((), ()), None)
        self.own.run(ruleset.replacement(BEFORE, ()))
        for lead in (ways.part, ways.whole, ways.back):
            self.own.lead(lead)
        self.own.run(ruleset.removal("realmgw"))
        self.assertEqual((self.own.placements, self.nft.run.call_count), (5, 5))

    def test_changes_of_one_that_stands_do_not_count(self) -> None:
        """Nor what is refused: all is as it was."""
        after = attrs.evolve(BEFORE, outbound_ports=(1024, 2047))
        ways = leads((SETTINGS, BEFORE), (SETTINGS, after), change((), ()), None)
        self.own.lead(ways.part)
        self.assertEqual((self.own.placements, self.nft.run.call_count), (0, 1))
        self.nft.run.side_effect = RealmGatewayError("nft: no")
        self.assertRaises(RealmGatewayError, self.own.lead, ways.back)
        self.assertEqual((self.own.placements, self.nft.run.call_count), (0, 2))
