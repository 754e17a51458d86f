"""Tests for `realmgw.config.consistency.pools`."""

from __future__ import annotations

from realmgw.test.config.consistency.case import ConsistencyTestCase


class PoolsTests(ConsistencyTestCase):
    """What is wrong with pools, prefixes and lingering."""

    def test_finds_overlapping_pools(self) -> None:
        """Told at the later one, with the line of the earlier."""
        [line] = self.problems(("circular: [", "circular: [{addresses: 198.51.100.8, attachment: on-link}, "))
        self.assertEqual(line, "198.51.100.0/24 overlaps 198.51.100.8/32 of line 5: remove one of them")

    def test_finds_the_gateways_own_addresses_in_the_pool(self) -> None:
        """Whatever they are for, each once."""
        pool = ("198.51.100.0/24", "192.0.2.0/30")
        [line] = self.problems(pool)
        self.assertEqual(
            line, "192.0.2.0/30 contains 192.0.2.1, where the DNS server listens: leave it out of the pool"
        )
        [_, line] = self.problems(pool, ("pools: {", "pools: {service: [192.0.2.2], "))
        self.assertIn("contains 192.0.2.2, an address of the service pool", line)
        [_, line] = self.problems(pool, ("contact:", "address: 192.0.2.3, contact:"))
        self.assertIn("contains 192.0.2.3, the address of a zone", line)
        [_, line] = self.problems(pool, ("ns.example.org: 192.0.2.1", "ns.example.org: 192.0.2.2"))
        self.assertIn("contains 192.0.2.2, the address of ns.example.org.", line)

    def test_finds_the_gateways_own_addresses_of_ipv6_in_the_pool(self) -> None:
        """As those of IPv4."""
        six = ("circular: [", "circular: [{addresses: '2001:db8:1::/64', attachment: routed}, ")
        for change, said in (
            (("pools: {", "pools: {service: ['2001:db8:1::2'], "), "2001:db8:1::2, an address of the service pool"),
            (("contact:", "address: ['2001:db8:1::3', 192.0.2.1], contact:"), "2001:db8:1::3, the address of a zone"),
            (("ns.example.org: 192.0.2.1", "ns.example.org: '2001:db8:1::4'"), "2001:db8:1::4, the address of ns."),
            (("[192.0.2.1]", "['2001:db8:1::5']"), "2001:db8:1::5, where the DNS server listens"),
        ):
            [line] = self.problems(six, change)
            self.assertIn(f"2001:db8:1::/64 contains {said}", line)

    def test_finds_pools_of_no_use(self) -> None:
        """Addresses that lead nobody here, and more than there is room for."""
        for nowhere in (
            "127.0.0.0/24",
            "169.254.0.0/16",
            "240.0.0.0/28",
            "0.1.0.0/24",
            "fe80::/64",
            "::ffff:0:0/96",
            "ff02::/16",
        ):
            self.assertIn(f"{nowhere} is of no use", self.problems(("198.51.100.0/24", f"'{nowhere}'"))[0])
        self.assertEqual(self.problems(("198.51.100.0/24", "100.64.0.0/12")), [])
        [line] = self.problems(("198.51.100.0/24", "100.64.0.0/11"))
        self.assertEqual(line, "the circular pool has 2097152 IPv4 addresses: write at most 1048576")

    def test_finds_addresses_that_are_told_and_lead_nobody_here(self) -> None:
        """Of zones, of name servers and of the service pool: all of them are answers to strangers."""
        for nowhere in ("127.0.0.1", "0.1.2.3", "169.254.1.1", "240.0.0.1", "fe80::1", "100::1"):
            for change in (
                ("pools: {", f"pools: {{service: ['{nowhere}'], "),
                ("contact:", f"address: '{nowhere}', contact:"),
                ("ns.example.org: 192.0.2.1", f"ns.example.org: '{nowhere}'"),
            ):
                [line] = self.problems(change)
                self.assertIn(f"'{nowhere}' is ", line)

    def test_finds_how_lans_can_not_leave_by_ipv6(self) -> None:
        """Each LAN leaves in one way, with the prefixes that this way needs."""
        npt = "lan: lan0, leave: nptv6"
        for wrong, said in (
            ("{lan: wan0, leave: route}", "wan0 is none of interfaces.lan: write one of them"),
            ("{lan: lan0, leave: off}, {lan: lan0, leave: route}", "how lan0 leaves stands twice: remove one"),
            (f"{{{npt}}}", "nptv6 needs two prefixes: write both 'inside' and 'outside'"),
            (f"{{{npt}, inside: 'fd00:1::/48'}}", "nptv6 needs two prefixes"),
            (f"{{{npt}, inside: 'fd00:1::/48', outside: '2001:db8:9::/56'}}", "are not of one length: write two"),
            (f"{{{npt}, inside: 'fd00:1::/80', outside: '2001:db8:9::/80'}}", "fd00:1::/80 is too long for"),
            (f"{{{npt}, inside: 'fd00:1::/48', outside: 'fd00:1::/48'}}", "fd00:1::/48 and fd00:1::/48 overlap"),
            (f"{{{npt}, inside: 'fe80::/64', outside: '2001:db8:9::/64'}}", "fe80::/64 is of no use outside"),
            ("{lan: lan0, leave: nat66, inside: 'fd00:1::/48'}", "'inside' is for nptv6, and lan0 leaves by nat66"),
            ("{lan: lan0, leave: route, outside: 'fd00:1::/48'}", "'outside' is for nptv6 and nat66"),
        ):  # fmt: skip
            [line] = self.problems(more=f"ipv6: {{outbound: [{wrong}]}}\n")
            self.assertIn(said, line)
        for good in ("{lan: lan0, leave: route}", "{lan: lan0, leave: nat66, outside: '2001:db8:9::1'}",
                     f"{{{npt}, inside: 'fd00:1::/64', outside: '2001:db8:9::/64'}}"):  # fmt: skip
            self.assertEqual(self.problems(more=f"ipv6: {{outbound: [{good}]}}\n"), [])

    def test_finds_prefixes_of_hosts_within_the_pool(self) -> None:
        """Or around it: of hosts, of LANs, and of what stands in their place outside."""
        six = ("circular: [", "circular: [{addresses: '2001:db8:1::/64', attachment: routed}, ")
        said = "overlaps 2001:db8:1::/64 of the circular pool, line 5: write another"
        for more in (
            "prefixes: [{prefix: '2001:db8:1::/80', mode: pinhole}]",
            "prefixes: [{prefix: '2001:db8::/32', mode: pool}]",
            "outbound: [{lan: lan0, leave: nptv6, inside: 'fd00::/64', outside: '2001:db8:1::/64'}]",
            "outbound: [{lan: lan0, leave: nptv6, inside: '2001:db8:1::/64', outside: '2001:db8:2::/64'}]",
            "outbound: [{lan: lan0, leave: nat66, outside: '2001:db8:1::1'}]",
        ):
            [line] = self.problems(six, more=f"ipv6: {{{more}}}\n")
            self.assertIn(said, line)

    def test_finds_prefixes_that_contradict_each_other(self) -> None:
        """One may lie in another, if they are not the same; and what is not public is not answered with."""
        within = "{prefix: '2001:db8:1::/48', mode: off}, {prefix: '2001:db8:1:2::/64', mode: pinhole}"
        self.assertEqual(self.problems(more=f"ipv6: {{prefixes: [{within}]}}\n"), [])
        twice = "{prefix: '2001:db8:1::/48', mode: off}, {prefix: '2001:db8:1::/48', mode: pinhole}"
        [line] = self.problems(more=f"ipv6: {{prefixes: [{twice}]}}\n")
        self.assertEqual(line, "2001:db8:1::/48 stands twice: remove one")
        [line] = self.problems(more="ipv6: {prefixes: [{prefix: 'fd00::/8', mode: pinhole}]}\n")
        self.assertIn("fd00::/8 has addresses that are not public", line)
        lans = ("[lan0]", "[lan0, lan1]")
        both = ", ".join(
            f"{{lan: lan{n}, leave: nptv6, inside: 'fd00:{n}::/64', outside: '2001:db8:5::/64'}}" for n in (0, 1)
        )
        [line] = self.problems(lans, more=f"ipv6: {{outbound: [{both}]}}\n")
        shared = ", ".join(f"{{lan: lan{n}, leave: nat66, outside: '2001:db8:5::/64'}}" for n in (0, 1))
        self.assertEqual(self.problems(lans, more=f"ipv6: {{outbound: [{shared}]}}\n"), [])
        self.assertEqual(
            line, "2001:db8:5::/64 overlaps 2001:db8:5::/64 of line 7, with which another LAN leaves: write another"
        )

    def test_finds_lingering_that_grows_with_the_load(self) -> None:
        """Compared with the default where only one of the two is written."""
        for wrong in ("{linger: 5, linger_loaded: 6}", "{linger_loaded: 601}"):
            [line] = self.problems(more=f"allocation: {wrong}\n")
            self.assertIn("'linger_loaded' is longer than 'linger'", line)
        self.assertEqual(self.problems(more="allocation: {linger: 5, linger_loaded: 5}\n"), [])
