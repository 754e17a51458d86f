"""Tests for `realmgw.config.consistency.faces`."""

from __future__ import annotations

from realmgw.test.config.consistency.case import ConsistencyTestCase


class FacesTests(ConsistencyTestCase):
    """What is wrong with zones, sides and who listens."""

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
            ("listen: [192.0.2.1:54], key_file: update.keys", ""), ("listen: []", ""),
            ("listen: [], unsigned: true", ""),
        ):  # fmt: skip
            lines = self.problems(("dns: {", f"dns: {{update: {{{written}}}, "))
            self.assertEqual(len(lines), bool(said), lines)
            self.assertTrue(all(line.startswith(said) for line in lines), lines)

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

    def test_finds_a_portal_where_the_dns_server_listens(self) -> None:
        """Which has TCP as well, on any of its sides; written differently it is the same address."""
        for dns in ("lan: {listen: ['[2001:db8::1]:80']}", "update: {listen: ['[2001:db8::1]:80'], key_file: k}"):
            more = "portal: {listen: ['2001:db8:0::0:1', '[2001:db8::2]:80']}\n"
            [line] = self.problems(("dns: {", f"dns: {{{dns}, "), more=more)
            self.assertIn("2001:db8::1 port 80 is where ", line)
        [line] = self.problems(more="portal: {listen: [192.168.0.1, '192.168.0.1:80']}\n")
        self.assertEqual(line, "192.168.0.1 port 80 stands twice: remove one")

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

    def test_finds_a_name_server_with_two_addresses(self) -> None:
        """Its address record is one, whichever zone asks for it."""
        [line] = self.problems(
            ("zones: {", "zones: {example.net: {name_servers: {ns.example.org: 192.0.2.9}, contact: a.example.net}, ")
        )
        self.assertEqual(line, "ns.example.org. has the address 192.0.2.9 elsewhere: write the same one")

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

    def test_finds_these_beside_other_problems(self) -> None:
        """A typing error elsewhere hides nothing."""
        lines = self.problems(("[lan0]", "[wan0]"), ("name: gw.example.org", "nam: gw.example.org"))
        self.assertEqual(len(lines), 3)
