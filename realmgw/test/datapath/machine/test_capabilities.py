"""What is said to an operator whose machine can not do enough."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dnat, Interfaces, Pools, Settings
from realmgw.datapath.machine import capabilities
from realmgw.datapath.machine.capabilities import CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, FEATURES, Capabilities

ALL = Capabilities(
    privileges=1 << CAP_NET_ADMIN | 1 << CAP_NET_BIND_SERVICE,
    lowest_port=1024,
    missing=(),
    native_queue=True,
    xtables_queue=False,
    queue_socket=True,
    dnat=Dnat.MAP,
    logs=True,
)
SETTINGS = Settings("gw.example.org.", (), Interfaces("wan0", ("lan0",)), Pools(()))


class ProblemsTests(SynchronousTestCase):
    """`problems`."""

    def test_machine_with_everything_has_none(self) -> None:
        """Either way of queueing will do."""
        for found in (ALL, attrs.evolve(ALL, native_queue=False, xtables_queue=True)):
            self.assertEqual(capabilities.problems(found, ports=(53,)), ())

    def test_each_lack_has_its_line_with_a_remedy(self) -> None:
        """One line, what is missing first."""
        for found, line in (
            (
                attrs.evolve(ALL, missing=FEATURES[:1]),
                f"nftables: {FEATURES[0].name} is missing: {FEATURES[0].remedy}",
            ),
            (attrs.evolve(ALL, native_queue=False), "packets can not be queued: .* install iptables"),
            (attrs.evolve(ALL, queue_socket=False), "modprobe nfnetlink_queue"),
            (attrs.evolve(ALL, privileges=1 << CAP_NET_ADMIN), "CAP_NET_BIND_SERVICE is missing, and port 53 needs it"),
        ):
            (said,) = capabilities.problems(found, ports=(5353, 53))
            self.assertRegex(said, line)
            self.assertNotIn("\n", said)

    def test_a_kernel_that_can_not_tell_of_packets_is_named_and_does(self) -> None:
        """What has to be loaded is said; whoever can not try it says nothing."""
        without = attrs.evolve(ALL, logs=False)
        self.assertEqual((capabilities.problems(without), [*capabilities.doubts(ALL, SETTINGS)]), ((), []))
        [said] = capabilities.doubts(without, SETTINGS)
        self.assertRegex(said, "target LOG is missing, so rules with it only count: .*modprobe nft_log nfnetlink_log")
        self.assertEqual([*capabilities.doubts(attrs.evolve(without, privileges=0), SETTINGS)], [])

    def test_raw_sockets_are_asked_for_where_neighbours_ask(self) -> None:
        """Who has all else is told of that alone; who has no such prefix needs none."""
        self.assertEqual(capabilities.problems(ALL), ())
        self.assertEqual(capabilities.problems(ALL, raw=True), (capabilities.NO_RAW,))
        more = attrs.evolve(ALL, privileges=ALL.privileges | 1 << capabilities.CAP_NET_RAW)
        self.assertEqual(capabilities.problems(more, raw=True), ())

    def test_each_way_to_translate_that_is_missing_has_its_line(self) -> None:
        """It names what was asked for, and what to do."""
        for asked, line in (
            (Dnat.MAP, "modprobe nft_nat"),
            (Dnat.MARKDNAT, "datapath.dnat: markdnat does not work.*kmod/README.md"),
            (Dnat.AUTO, "by map or markdnat"),
        ):
            (said,) = capabilities.problems(attrs.evolve(ALL, dnat=None), dnat=asked)
            self.assertRegex(said, line)

    def test_only_auto_looks_for_another_way(self) -> None:
        """What was asked for by name is what is used, or nothing."""
        self.assertEqual((Dnat.MAP, Dnat.MARKDNAT), capabilities.ways(Dnat.AUTO))
        for dnat in (Dnat.MAP, Dnat.MARKDNAT):
            self.assertEqual((dnat,), capabilities.ways(dnat))

    def test_port_that_anybody_may_take_needs_no_capability(self) -> None:
        """net.ipv4.ip_unprivileged_port_start decides."""
        for lowest, port in ((1024, 5353), (0, 53), (53, 53)):
            found = attrs.evolve(ALL, privileges=1 << CAP_NET_ADMIN, lowest_port=lowest)
            self.assertEqual(capabilities.problems(found, ports=(port,)), ())

    def test_without_net_admin_nothing_untried_is_called_missing(self) -> None:
        """The one capability is named, not the features that could not be tried for want of it."""
        (said,) = capabilities.problems(Capabilities(privileges=0, lowest_port=1024))
        self.assertIn("CAP_NET_ADMIN is missing", said)
