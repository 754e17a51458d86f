"""Tests for `realmgw.datapath.pipeline.verdicts`; that the kernel says the same is asked in realmgw.test.kernel."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.expectations import RULED
from realmgw.config.meaning import Meaning, meaning
from realmgw.config.nflog import Nflog
from realmgw.config.rules import read_rule
from realmgw.config.settings import Settings
from realmgw.datapath.pipeline.verdicts import First, matches, verdict
from realmgw.datapath.policy import rules
from realmgw.datapath.policy.rules import Place
from realmgw.subscribers.firewall import Direction, Rule, Target, firewall
from realmgw.subscribers.model import Host, Profile
from realmgw.test.config.test_schema import MINIMAL, settings

HOST = "192.168.0.1"
SYN = (6, 49152, 80)
PLACE = Place(1, 1, "user")
GROUPS = """
policy:
  pipeline:
    groups:
      b: {rules: [{priority: 1, direction: EGRESS, tcp: {dport: 25}, target: DROP}]}
      a:
        rules:
          - {priority: 1, direction: EGRESS, tcp: {dport: 25}, target: ACCEPT, comment: {comment: mail}}
          - {priority: 2, direction: EGRESS, tcp: {dport: 80}, target: ACCEPT}
          - {priority: 3, direction: EGRESS, protocol: tcp, target: REJECT}
"""


def rule(text: str, *, priority: int = 1, target: str = "DROP", direction: str = "EGRESS") -> Rule:
    """A rule that matches what is written."""
    problems = Problems("f")
    said = text if "target: " in text else f"target: {target}, {text}"
    node = parse(f"{{priority: {priority}, direction: {direction}, {said}}}".encode(), problems)
    assert node is not None, problems.lines()
    found = read_rule(node, problems)
    assert found is not None, problems.lines()
    return found


def first(destination: str, protocol: int, sport: int, dport: int, source: str = HOST) -> First:
    """What a host sends first."""
    return First(ip_address(source), ip_address(destination), protocol, sport, dport)


class MatchTests(SynchronousTestCase):
    """One rule."""

    def is_dropped(self, text: str, packet: First) -> bool:
        """Whether a rule matches."""
        host = Host(1, "a.example.org.", b"", Profile(firewall=firewall(user=(rule(text),))))
        return verdict(settings(MINIMAL), host, Direction.EGRESS, packet).target is Target.DROP

    def test_packets_that_a_rule_is_about(self) -> None:
        """By addresses, protocol, ports, flags, and kinds of ICMP: each with what it matches, and what it does not."""
        there, echo = "198.51.100.1", (1, 0, 0)
        rows = {
            "protocol: tcp": ((there, *SYN), (there, 17, 1, 80)),
            "protocol: any": ((there, 47, 0, 0), None),
            "src: 192.168.0.0/24": ((there, *SYN), (there, *SYN, "192.168.1.1")),
            "dst: 198.51.100.0/24": ((there, *SYN), ("198.51.101.1", *SYN)),
            "dst: '2001:db8::/32'": (("2001:db8::1", *SYN, "2001:db8:7::1"), (there, *SYN)),
            "tcp: {dport: 80}": ((there, *SYN), (there, 6, 80, 81)),
            "tcp: {sport: '1024:'}": ((there, *SYN), (there, 6, 1023, 80)),
            "tcp: {dport: ['!', '25']}": ((there, *SYN), (there, 6, 49152, 25)),
            "protocol: udp, multiport: {dports: '53,60:70'}": ((there, 17, 1, 65), (there, 17, 1, 71)),
            "tcp: {syn: }": ((there, *SYN), (there, 17, 1, 80)),
            "tcp: {tcp-flags: ['ALL', 'SYN']}": ((there, *SYN), None),
            "icmp: {icmp-type: echo-request}": ((there, *echo), ("2001:db8::1", 58, 0, 0, "2001:db8:7::1")),
            "icmpv6: {icmpv6-type: echo-request}": (("2001:db8::1", 58, 0, 0, "2001:db8:7::1"), (there, *echo)),
            "icmp: {icmp-type: ['!', 'redirect']}": ((there, *echo), None),
            "state: {state: 'NEW'}": ((there, *SYN), None),
            "limit: {limit: 5/sec}": ((there, *SYN), None),
            "connlimit: {connlimit-upto: 5}": ((there, *SYN), None),
        }
        for text, (inside, outside) in rows.items():
            self.assertTrue(self.is_dropped(text, first(*inside)), text)  # type: ignore[arg-type]  # one may be left out
            if outside is not None:
                self.assertFalse(self.is_dropped(text, first(*outside)), text)

    def test_packets_that_it_is_not_about(self) -> None:
        """Flags that no first packet has, other messages, and what is beyond a limit."""
        for text in (
            "tcp: {syn: '!'}",
            "tcp: {tcp-flags: ['SYN,ACK', 'SYN,ACK']}",
            "tcp: {tcp-flags: ['ALL', 'NONE']}",
            "icmp: {icmp-type: ['!', 'echo-request']}",
            "hashlimit: {hashlimit-above: 5/sec, hashlimit-name: a}",
            "connlimit: {connlimit-above: 5}",
        ):
            protocol = 1 if text.startswith("icmp") else 6
            self.assertFalse(self.is_dropped(text, first("198.51.100.1", protocol, 49152, 80)), text)


NOT_ASKED = {
    "family": "addresses, or the protocol, say it as well",
    "states": "NEW is among those of each rule, and a flow that begins is new",
    "refusal": "it says how something is refused",
    "prefix": "it says how something is told",
}
"""What a verdict does not go by, and why it need not."""


class ReadersTests(SynchronousTestCase):
    """Two read what rules mean: this one, and the one that makes rules for the kernel. Both know all of it."""

    def test_whatever_a_rule_can_mean_both_go_by(self) -> None:
        """Each with a rule that means it, and what the kernel gets for it; a field that is new has none here."""
        rows = {
            "protocol": ("protocol: 47", "meta l4proto 47"),
            "src": ("src: 192.0.2.0/24", "ip saddr 192.0.2.0/24"),
            "dst": ("dst: 192.0.2.0/24", "ip daddr 192.0.2.0/24"),
            "ports": ("tcp: {dport: 25}", "tcp dport 25"),
            "flags": ("tcp: {syn: '!'}", "tcp flags & (fin|syn|rst|ack) != (syn)"),
            "icmp": ("icmp: {icmp-type: redirect}", "icmp type 5"),
            "states": ("state: {state: 'NEW,RELATED'}", "ct state new,related"),
            "limit": ("hashlimit: {hashlimit-above: 5/sec, hashlimit-name: a}", "limit rate over 5/second"),
            "connections": ("connlimit: {connlimit-above: 5}", "ct count over 5"),
            "refusal": ("protocol: tcp, target: {REJECT: {reject-with: tcp-reset}}", "reject with tcp reset"),
            "prefix": ("target: {LOG: {log-prefix: told}}", 'log prefix "realmgw: user, priority 1: told"'),
            "family": ("icmpv6: {icmpv6-type: echo-request}", "meta nfproto ipv6"),
        }
        self.assertEqual([each.name for each in attrs.fields(Meaning)], [*rows])
        for field, (text, placed) in rows.items():
            said = rule(text)
            self.assertTrue(getattr(meaning(said), field), field)
            self.assertTrue(any(placed in line for line in rules.lines(said, PLACE, Nflog())), field)
            if field not in NOT_ASKED:
                self.assertFalse(matches(meaning(said), first("198.51.100.1", *SYN)), field)

    def test_whatever_can_become_of_a_packet_is_a_verdict_or_leaves_it_to_the_next_rule(self) -> None:
        """As in the kernel: a rule that only tells decides nothing, be it a group's or the host's."""
        for target in Target:
            own = firewall(user=(rule("protocol: tcp", target=target.value), rule("tcp: {dport: 80}", priority=2)))
            host = Host(1, "a.example.org.", b"", Profile(firewall=own))
            found = verdict(settings(MINIMAL), host, Direction.EGRESS, first("198.51.100.1", *SYN))
            [line] = rules.lines(own.user[0], PLACE, None)
            self.assertEqual(" continue " in line, found.rule == "user, priority 2", target)
            self.assertEqual(found.target is target, " continue " not in line, target)
            self.assertIn(found.target.value, RULED)
            self.assertEqual(found.target is Target.ACCEPT, " return " in line, target)


class OrderTests(SynchronousTestCase):
    """Lists of rules."""

    def said(self, host: Host, port: int, said: Settings, direction: Direction = Direction.EGRESS) -> tuple[str, str]:
        """What becomes of a packet to a port, and by which rule."""
        found = verdict(said, host, direction, first("198.51.100.1", 6, 49152, port))
        return found.target.value, found.rule

    def test_the_operators_rules_come_first_and_each_list_by_priority(self) -> None:
        """The first one that matches decides; where none does, it passes."""
        own = firewall(
            (rule("tcp: {dport: 25}", priority=9, target="REJECT"), rule("tcp: {dport: 22}", priority=2)),
            (
                rule("tcp: {dport: 25}", priority=0, target="ACCEPT"),
                rule("tcp: {dport: 80}, comment: {comment: web}", priority=5),
                rule("tcp: {dport: 80}", priority=3, target="ACCEPT"),
                rule("protocol: tcp", priority=1, direction="INGRESS"),
            ),
        )
        host, plain = Host(1, "a.example.org.", b"", Profile(firewall=own)), settings(MINIMAL)
        self.assertEqual(self.said(host, 25, plain), ("REJECT", "admin, priority 9"))
        self.assertEqual(self.said(host, 22, plain), ("DROP", "admin, priority 2"))
        self.assertEqual(self.said(host, 80, plain), ("ACCEPT", "user, priority 3"))
        self.assertEqual(self.said(host, 443, plain), ("ACCEPT", ""))
        self.assertEqual(self.said(host, 443, plain, Direction.INGRESS), ("DROP", "user, priority 1"))

    def test_groups_are_asked_first_by_their_names(self) -> None:
        """What one lets pass is asked of the next, then of the host's own rules; what is not told says nothing."""
        own = firewall(user=(rule("tcp: {dport: 80}, comment: {comment: mine}"),))
        host = Host(1, "a.example.org.", b"", Profile(groups=("b", "a", "c"), firewall=own))
        told = settings(MINIMAL + GROUPS)
        self.assertEqual(self.said(host, 25, told), ("DROP", "group b, priority 1"))
        self.assertEqual(self.said(host, 80, told), ("DROP", "user, priority 1: mine"))
        self.assertEqual(self.said(host, 443, told), ("REJECT", "group a, priority 3"))
        self.assertEqual(self.said(host, 443, settings(MINIMAL)), ("ACCEPT", ""))
        without = settings(MINIMAL + GROUPS + "datapath: {policy_order: [NAT, CUSTOMER_POLICY, GUEST_SERVICES]}\n")
        self.assertEqual(self.said(host, 443, without), ("ACCEPT", ""))
