"""The programs that measure the network policy, with little to do; and what they make of figures."""

from __future__ import annotations

import contextlib
import os

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.programs import comings, tariffs
    from testbed.programs.comings import Pace
    from testbed.programs.tariffs import CARRIED, CLASSES, PLAIN, TRANSLATING, USUAL, Case, Measured

PREFIX = f"p{os.getpid()}-"


class TariffsTests(SynchronousTestCase):
    """`testbed.programs.tariffs`."""

    skip = requirements.missing_for_gateway() or programs.missing("cc", "make")

    def test_packets_meet_the_rules_that_are_measured(self) -> None:
        """Or it would say so; nothing of a flow that begins stays, and a connection goes through each gateway."""
        few = Case("few", 10)
        found = tariffs.measure(1, 0.1, PREFIX, (PLAIN, few))
        self.assertEqual(
            {tuple(each) for each in found.streams.values()}, {(PLAIN.title, TRANSLATING.title, USUAL.title, few.title)}
        )
        self.assertTrue(all(figure > 0 for each in found.streams.values() for [figure] in each.values()))
        self.assertTrue(all(figure > 1000 for [figure] in found.flows.values()), found.flows)
        self.assertIn("| few", tariffs.report(found, 1, 0.1))

    def test_rules_of_iptables_are_those_of_classes(self) -> None:
        """Two jump rules a host, and a chain with four rules."""
        lines = tariffs.for_iptables(3).splitlines()
        self.assertEqual(sum("-j HOST_" in line for line in lines), 6)
        self.assertEqual(sum("-A HOST_" in line for line in lines), 12)
        self.assertEqual(len(tariffs.tariff(1).user), 4)
        self.assertEqual(len({each.profile.firewall for each in tariffs.hosts(100, "192.168.0.2")}), tariffs.TARIFFS)

    def test_targets_are_about_shares_of_one_round(self) -> None:
        """The median of them, whatever the machine did meanwhile."""
        stream = {PLAIN.title: [1.0, 10.0, 100.0], TRANSLATING.title: [1.0] * 3, "ours": [0.98, 9.7, 20.0]}
        flows = {CLASSES[0].title: [10.0, 20.0], CLASSES[1].title: [9.8, 19.6], CLASSES[2].title: [8.0, 16.0]}
        verdicts = tariffs.judge(Measured({"large": stream}, flows, 0.0))
        self.assertEqual([each.met for each in verdicts], [True, True, False])
        self.assertEqual([each.figure for each in verdicts], ["97.0%", "98.0%", "80.0%"])
        carried = {PLAIN.title: [10.0], CARRIED.title: [9.8], "chains": [7.0]}  # where the kernel has flowtables
        [verdict] = tariffs.judge(Measured({"large": carried}, {}, 0.0))
        self.assertEqual((verdict.met, verdict.figure), (True, "98.0%"))


class ComingsTests(SynchronousTestCase):
    """`testbed.programs.comings`."""

    skip = requirements.missing_for_gateway() or programs.missing("cc", "make")

    def test_who_comes_is_reached_and_goes(self) -> None:
        """Each by its own address, and others notice nothing."""
        pace = Pace(1.0, 20, 50)
        came = comings.run(pace, PREFIX)
        self.assertEqual((len(came.visits.arrivals), came.visits.lost, came.visits.gone), (20, 0, 20))
        self.assertEqual(came.visits.refused, {})
        self.assertEqual(came.outcome.started, came.outcome.ok)
        self.assertTrue(all(each.reached > each.registered > 0 for each in came.visits.arrivals.values()))
        self.assertIn("| every host that comes is reached", comings.report(came, pace))
