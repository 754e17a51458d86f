"""What groups had, for monitoring systems."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.records import totals as module
from realmgw.records.totals import OTHERS, Totals, add
from realmgw.test.records.test_store import ENDED


class TotalsTests(SynchronousTestCase):
    """By group."""

    def test_each_group_has_what_its_hosts_had(self) -> None:
        """What was told before is not added twice; a flow is one when it has ended."""
        totals = Totals()
        lasts = ENDED._replace(event="lasts", octets_in=400, octets_out=None)
        totals.add(lasts, None)
        self.assertEqual(totals.by_group["gold"], {"flows": 0, "octets_in": 400, "octets_out": 0})
        totals.add(ENDED, lasts)
        totals.add(ENDED._replace(groups=()), None)
        sums = {"flows": 1, "octets_in": 1164, "octets_out": 9164}
        self.assertEqual(totals.by_group, {"gold": sums, "all": sums})

    def test_what_conntrack_counts_anew_is_added_up_as_it_is(self) -> None:
        """Somebody has set it to 0 (`conntrack -L -z`): nothing that was counted is taken away."""
        totals, lasts = Totals(), ENDED._replace(event="lasts", octets_in=5000)
        totals.add(lasts, None)
        totals.add(ENDED, lasts)
        self.assertEqual(totals.by_group["gold"], {"flows": 1, "octets_in": 5000 + 1164, "octets_out": 9164})
        self.assertEqual(ENDED.since(lasts), (0, 1164, 0, 0))
        self.assertEqual(lasts._replace(packets_in=None).since(None), (0, 5000, 5, 9164))

    def test_a_bounded_number_is_told_apart(self) -> None:
        """However many names are written; also together with those before."""
        self.patch(module, "MOST", 2)
        totals = Totals()
        totals.add(ENDED._replace(groups=("a", "b", "c", "d")), None)
        self.assertEqual({group: each["flows"] for group, each in totals.by_group.items()}, {"a": 1, "b": 1, OTHERS: 2})
        both = add(totals.by_group, {"a": totals.by_group["a"], "z": totals.by_group["b"]})
        self.assertEqual({group: each["flows"] for group, each in both.items()}, {"a": 2, "b": 1, OTHERS: 3})
        self.assertEqual(totals.by_group["a"]["flows"], 1)
