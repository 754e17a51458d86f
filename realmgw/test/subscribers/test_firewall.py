"""Tests for `realmgw.subscribers.firewall`."""

from __future__ import annotations

from ipaddress import IPv4Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.subscribers.firewall import ESTABLISHED, PLAIN, Direction, Firewall, Rule, Target

RULES = """
FIREWALL_ADMIN:
    - {'priority': 0,   'direction': 'EGRESS',  'protocol': '17', 'udp':{'dport': '53'}, 'target': 'REJECT', 'hashlimit': {'hashlimit-above':'5/sec', 'hashlimit-burst':'50', 'hashlimit-name':'DnsLanHosts', 'hashlimit-mode':'srcip', 'hashlimit-htable-expire':'1001'}, 'comment':{'comment':'Host DNS limit'}}
FIREWALL_USER:
    - {'priority': 100, 'direction': 'INGRESS', 'target': 'ACCEPT', 'comment':{'comment':'Allow incoming'}}
    - {'priority': 10,  'direction': 'INGRESS', 'src': '198.51.100.2/32', 'protocol': '1', 'icmp':{'icmp-type':'8/0'}, 'target': 'ACCEPT'}
    - {'priority': 10,  'direction': 'INGRESS', 'protocol': '6', 'tcp':{'dport': ['!', '80:443'], 'tcp-flags': ['FIN,SYN', 'SYN']}, 'target': {'REJECT': {'reject-with': 'tcp-reset'}}}
    - {'priority': 0,   'direction': 'EGRESS', 'protocol': '17', 'udp':{'dport': '53'}, 'target': 'REJECT'}
"""  # noqa: E501 - as such files are written


class FirewallTestCase(SynchronousTestCase):
    """Reads firewalls."""

    def read(self, text: str) -> Firewall:
        """A firewall in the established style, without problems."""
        problems = Problems("f")
        root = parse(text.encode(), problems)
        assert root is not None
        found = ESTABLISHED(root, problems)
        assert found is not None, problems.lines()
        return found

    def refusals(self, rule: str) -> tuple[str, ...]:
        """What is wrong with a rule."""
        problems = Problems("f")
        root = parse(f"user: [{rule}]".encode(), problems)
        assert root is not None
        self.assertIsNone(PLAIN(root, problems))
        return problems.lines()


class ReadTests(FirewallTestCase):
    """Rules as existing collections have them."""

    def test_reads_every_part_of_a_rule(self) -> None:
        """Options keep their order; quotes around numbers change nothing."""
        [rule] = self.read(RULES).admin
        self.assertEqual(
            rule,
            Rule(
                0,
                Direction.EGRESS,
                Target.REJECT,
                protocol=17,
                parts=(
                    ("udp", (("dport", ("53",)),)),
                    (
                        "hashlimit",
                        (
                            ("hashlimit-above", ("5/sec",)),
                            ("hashlimit-burst", ("50",)),
                            ("hashlimit-name", ("DnsLanHosts",)),
                            ("hashlimit-mode", ("srcip",)),
                            ("hashlimit-htable-expire", ("1001",)),
                        ),
                    ),
                ),
                comment="Host DNS limit",
            ),
        )

    def test_rules_are_ordered_by_priority(self) -> None:
        """Those of the same priority stay in the order of the text."""
        user = self.read(RULES).user
        self.assertEqual([rule.priority for rule in user], [0, 10, 10, 100])
        self.assertEqual([rule.protocol for rule in user], [17, 1, 6, None])

    def test_reads_negations_addresses_and_options_of_the_target(self) -> None:
        """Each as it is written."""
        _, icmp, tcp, _ = self.read(RULES).user
        self.assertEqual((icmp.src, icmp.dst), (IPv4Network("198.51.100.2/32"), None))
        self.assertEqual(tcp.parts, (("tcp", (("dport", ("!", "80:443")), ("tcp-flags", ("FIN,SYN", "SYN")))),))
        self.assertEqual((tcp.target, tcp.target_options), (Target.REJECT, (("reject-with", ("tcp-reset",)),)))

    def test_equal_firewalls_are_one_object(self) -> None:
        """Many subscribers have the same."""
        self.assertIs(self.read(RULES), self.read(RULES))

    def test_a_part_brings_its_protocol(self) -> None:
        """Where the rule names none."""
        [rule] = self.read("firewall_user: [{priority: 0, direction: egress, sctp: {dport: 9}, target: drop}]").user
        self.assertEqual(rule.protocol, 132)


class RefusalTests(FirewallTestCase):
    """Rules that can not be."""

    def test_tells_what_is_missing_and_what_is_not_known(self) -> None:
        """All of a rule at once."""
        lines = self.refusals("{priority: x, direction: sideways, targt: DROP}")
        self.assertEqual(len(lines), 4)
        self.assertIn("the key 'target' is missing", lines[0])
        self.assertIn("write a whole number from 0", lines[1])
        self.assertIn("'sideways' is not known: write EGRESS or INGRESS", lines[2])
        self.assertIn("did you mean 'target'?", lines[3])

    def test_refuses_rules_that_contradict(self) -> None:
        """Of the same packets, with the same priority; what differs otherwise, or counts for itself, does not."""
        first = "{priority: 5, direction: EGRESS, tcp: {dport: 25}, target: ACCEPT}"
        drop = first.replace("ACCEPT", "DROP, comment: {comment: no}")
        [line] = self.refusals(f"{first}, {drop}")
        self.assertIn("DROP, and ACCEPT on line 1, of the same packets and with the same priority", line)
        limit = "target: DROP, limit: {limit: 5/sec}"
        for other in (drop.replace("5,", "6,"), drop.replace("25", "26"), drop.replace("EGRESS", "INGRESS"), first,
                      drop.replace("DROP", "LOG"), first.replace("target: ACCEPT", limit)):  # fmt: skip
            problems = Problems("f")
            root = parse(f"admin:\n- {first}\n- {other}\n".encode(), problems)
            assert root is not None
            self.assertIsNotNone(PLAIN(root, problems), problems.lines())

    def test_refuses_bad_values_of_options(self) -> None:
        """And options of other extensions."""
        for part, message in (
            ("udp: {dport: 'a b'}", "'a b' does not do here"),
            ("udp: {tcp-flags: SYN}", "the option 'tcp-flags' is not known"),
            ("hashlimit: {hashlimit-above: 5/fortnight}", "'5/fortnight' does not do here"),
            ("hashlimit: {hashlimit-mode: source}", "'source' does not do here"),
            ("limit: x", "write a mapping with limit, limit-burst"),
            ("src: 192.0.2.1/24", "has bits set beyond its length: write 192.0.2.0/24"),
            ("tcp: {dport: 1}, protocol: 17", "'tcp' is of protocol 6"),
            ("bogus: {}", "the key 'bogus' is not known"),
        ):
            [line] = self.refusals(f"{{priority: 0, direction: EGRESS, target: DROP, {part}}}")
            self.assertIn(message, line)

    def test_refuses_unknown_targets_and_their_options(self) -> None:
        """There is no chain of somebody else to jump to."""
        for target, message in (
            ("QUEUE", "'QUEUE' is not known: write ACCEPT or DROP or REJECT or LOG"),
            ("{LOG: {log-level: debug}}", "the option 'log-level' is not known"),
            ("{DROP: {reject-with: tcp-reset}}", "DROP has no options: write 'target: DROP'"),
            ("{REJECT: {with: x}}", "the option 'with' is not known: write one of reject-with"),
        ):
            [line] = self.refusals(f"{{priority: 0, direction: EGRESS, target: {target}}}")
            self.assertIn(message, line)
