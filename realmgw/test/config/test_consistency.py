"""Tests for `realmgw.config.consistency`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import consistency, schema
from realmgw.config.document import Problems, parse
from realmgw.test.config.test_schema import MINIMAL


class CheckTests(SynchronousTestCase):
    """`check` compares the values of different keys."""

    def problems(self, *changes: tuple[str, str], more: str = "") -> list[str]:
        """What is wrong with the minimal file after some changes, without the places."""
        text = MINIMAL
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        problems = Problems("f")
        root = parse((text + more).encode(), problems)
        assert root is not None
        schema.GATEWAY(root, problems)
        consistency.check(problems)
        return [line.split(": ", 1)[1] for line in problems.lines()]

    def test_finds_nothing_in_a_good_file(self) -> None:
        """The minimal one."""
        self.assertEqual(self.problems(), [])

    def test_finds_updates_that_nobody_could_sign_or_everybody_could_send(self) -> None:
        """Either there are keys, or only this machine sends."""
        for written, said in (
            ("listen: [192.0.2.1:54]", "nobody could sign updates: write 'key_file', or 'unsigned: true'"),
            ("listen: [192.0.2.1:54], unsigned: true, key_file: k", "'unsigned' lets everybody update who reach"),
            ("listen: ['127.0.0.1:54', '192.0.2.1:54'], unsigned: true", "'unsigned' lets everybody update who reach"),
            ("listen: ['127.0.0.1:54', '[::1]:54'], unsigned: true", ""),
            ("listen: [192.0.2.1:54], key_file: update.keys", ""), ("listen: []", ""), ("unsigned: true", ""),
        ):  # fmt: skip
            lines = self.problems(("dns: {", f"dns: {{update: {{{written}}}, "))
            self.assertEqual(len(lines), bool(said), lines)
            self.assertTrue(all(line.startswith(said) for line in lines), lines)

    def test_finds_overlapping_pools(self) -> None:
        """Told at the later one, with the line of the earlier."""
        [line] = self.problems(("circular: [", "circular: [{addresses: 198.51.100.8, attachment: on-link}, "))
        self.assertEqual(line, "198.51.100.0/24 overlaps 198.51.100.8/32 of line 5: remove one of them")

    def test_finds_services_of_registered_hosts_that_can_not_be(self) -> None:
        """Two of one name, and one that needs a proxy where there is no service pool."""
        update = "update: {defaults: {services: [{}, {label: www, proxy_required: true}%s]}}, "
        [line] = self.problems(("dns: {", f"dns: {{{update % ''}"))
        self.assertIn("'proxy_required' needs the service pool", line)
        pool = ("pools: {", "pools: {service: [192.0.2.9], ")
        self.assertEqual(self.problems(pool, ("dns: {", f"dns: {{{update % ''}")), [])
        [line] = self.problems(pool, ("dns: {", f"dns: {{{update % ', {label: WWW}'}"))
        self.assertIn("two services of this name", line)

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

    def test_finds_an_interface_with_two_sides(self) -> None:
        """Or the same one twice."""
        for wrong in ("[wan0]", "[lan0, lan0]"):
            [line] = self.problems(("[lan0]", wrong))
            self.assertIn("stands twice", line)

    def test_finds_an_endpoint_that_stands_twice(self) -> None:
        """On one view or on two; another port is another endpoint."""
        twice = "192.0.2.1 port 53 stands twice: remove one"
        self.assertEqual(self.problems(("[192.0.2.1]", "[192.0.2.1, '192.0.2.1:53']")), [twice])
        self.assertEqual(self.problems(("[192.0.2.1]}", "[192.0.2.1]}, lan: {listen: [192.0.2.1]}")), [twice])
        self.assertEqual(self.problems(("[192.0.2.1]", "[192.0.2.1, '192.0.2.1:5353']")), [])

    def test_finds_name_servers_with_the_wrong_address(self) -> None:
        """Within our zones it is ours to give, elsewhere it is not."""
        [line] = self.problems(("ns.example.org: 192.0.2.1", "ns.example.org: "))
        self.assertEqual(line, "ns.example.org. lies within our zones: write its address")
        [line] = self.problems(("ns.example.org: 192.0.2.1", "ns.example.net: 192.0.2.1"))
        self.assertIn("ns.example.net. lies outside our zones: remove its address", line)

    def test_finds_that_there_is_no_forward_zone(self) -> None:
        """A gateway with reverse zones only has no names."""
        lines = self.problems(
            ("{example.org: {name", "{2.0.192.in-addr.arpa: {name"), ("ns.example.org: 192.0.2.1", "ns.example.org: ")
        )
        self.assertEqual(lines, ["there are only reverse zones: write a forward zone as well"])

    def test_finds_lingering_that_grows_with_the_load(self) -> None:
        """Compared with the default where only one of the two is written."""
        for wrong in ("{linger: 5, linger_loaded: 6}", "{linger_loaded: 601}"):
            [line] = self.problems(more=f"allocation: {wrong}\n")
            self.assertIn("'linger_loaded' is longer than 'linger'", line)
        self.assertEqual(self.problems(more="allocation: {linger: 5, linger_loaded: 5}\n"), [])

    def test_finds_a_name_server_with_two_addresses(self) -> None:
        """Its address record is one, whichever zone asks for it."""
        [line] = self.problems(
            ("zones: {", "zones: {example.net: {name_servers: {ns.example.org: 192.0.2.9}, contact: a.example.net}, ")
        )
        self.assertEqual(line, "ns.example.org. has the address 192.0.2.9 elsewhere: write the same one")

    def test_finds_what_stands_twice(self) -> None:
        """Service addresses, stages, rules that are only counted, resolvers of groups."""
        [line] = self.problems(more="policy: {audit: [load, rate, load]}\n")
        self.assertEqual(line, "'load' stands twice: remove one")
        [line] = self.problems(("pools: {", "pools: {service: [192.0.2.2, 192.0.2.2], "))
        self.assertIn("192.0.2.2 stands twice in the service pool", line)
        [line] = self.problems(
            more="datapath: {policy_order: [NAT, CUSTOMER_POLICY, GUEST_SERVICES, GUEST_SERVICES]}\n"
        )
        self.assertIn("the stage GUEST_SERVICES stands twice", line)
        groups = "policy: {groups: [{nodes: [203.0.113.0/24]}, {nodes: [203.0.113.7, '2001:db8::1']}]}\n"
        [line] = self.problems(more=groups)
        self.assertEqual(line, "203.0.113.7/32 belongs to a group already, at line 7: remove one of them")

    def test_finds_a_web_proxy_that_has_no_place(self) -> None:
        """Without a service pool, with one port for both, and where somebody else listens; if it is asked for."""
        pool, on = ("pools: {", "pools: {service: [192.0.2.9], "), "webproxy: {enabled: true%s}\n"
        self.assertEqual(self.problems(pool, more=on % ""), [])
        self.assertEqual(self.problems(more="webproxy: {http_port: 443}\n"), [])
        [line] = self.problems(more=on % "")
        self.assertIn("there is none: write pools.service", line)
        [line] = self.problems(pool, more=on % ", http_port: 443")
        self.assertIn("HTTP and TLS can not both have port 443", line)
        [line] = self.problems(pool, more=on % "" + "portal: {listen: [192.0.2.9, '192.0.2.9:8080', 192.168.0.1]}\n")
        self.assertIn("the web proxy has port 80 of 192.0.2.9: have the portal listen elsewhere", line)

    def test_finds_alias_challenges_without_a_zone_for_aliases(self) -> None:
        """Of the policy or of a zone; with such a zone all is well."""
        cname = "policy: {challenges: {cname: true}}\n"
        [line] = self.problems(more=cname)
        self.assertIn("'cname' gives one-time aliases, and there is no zone for them", line)
        [line] = self.problems(("contact:", "challenges: {tcpcname: true}, contact:"))
        self.assertIn("'tcpcname' gives one-time aliases", line)
        for word in ("tcp", "adaptive"):
            self.assertEqual(self.problems(more=f"policy: {{challenges: {{{word}: true}}}}\n"), [])
        aliases = ("zones: {example.org: {", "zones: {example.org: {aliases: true, ")
        self.assertEqual(self.problems(aliases, more=cname), [])

    def test_finds_servers_of_others_at_our_addresses(self) -> None:
        """Questions would go round in circles."""
        [line] = self.problems(("dns: {", "dns: {forward: {resolvers: [192.0.2.1]}, "))
        self.assertEqual(line, "192.0.2.1 port 53 is the gateway itself: write another server's")
        [line] = self.problems(more="synproxy: {proxies: [198.51.100.7]}\n")
        self.assertEqual(line, "198.51.100.7 is an address of the circular pool: write another server's")

    def test_finds_lists_of_names_that_are_called_the_same(self) -> None:
        """Nobody could tell which one decided."""
        lists = ", ".join(f"{{name: {name}, file: {name}.hosts}}" for name in ("ads", "more", "ads"))
        [line] = self.problems(("dns: {", f"dns: {{forward: {{lists: [{lists}]}}, "))
        self.assertEqual(line, "there are two lists 'ads': give each a name of its own")

    def test_finds_files_of_a_repository_that_is_not_there(self) -> None:
        """And certificates for a connection without any."""
        [token, ca] = self.problems(more="repository: {token_file: a, ca_file: b}\n")
        self.assertIn("'token_file' is of no use without 'url'", token)
        self.assertIn("'ca_file' is of no use without 'url'", ca)
        [line] = self.problems(more="repository: {url: 'http://192.0.2.9', ca_file: b}\n")
        self.assertIn("'ca_file' is of no use with http", line)

    def test_finds_these_beside_other_problems(self) -> None:
        """A typing error elsewhere hides nothing."""
        lines = self.problems(("[lan0]", "[wan0]"), ("name: gw.example.org", "nam: gw.example.org"))
        self.assertEqual(len(lines), 3)
