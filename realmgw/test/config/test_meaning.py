"""Tests for `realmgw.config.meaning`, by way of rules as they are written."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.meaning import PARTS, Connections, Flags, Icmp, Limit, Meaning, Ports, meaning
from realmgw.config.rules import NEVER, Direction, Rule, Target
from realmgw.subscribers.firewall import PLAIN

WORDS = '! 0 1 65536 80:443 443:80 : SYN ALL NONE NEW 5/sec 0/min srcip 8/0 99999999999 tcp-reset };flush " \u00fc'
TEXTS = st.sampled_from(["", *WORDS.split()])
NAMES = (
    "dport sports ports tcp-flags syn icmp-type icmpv6-type ctstate state limit limit-burst connlimit-above "
    "connlimit-upto hashlimit-above hashlimit-upto hashlimit-mode hashlimit-burst hashlimit-htable-expire"
)
OPTIONS = st.sampled_from(NAMES.split())
VALUES = st.lists(TEXTS, max_size=3).map(tuple)
WRITTEN = st.lists(st.tuples(OPTIONS, VALUES), max_size=3, unique_by=lambda each: each[0]).map(tuple)


def said(text: str) -> Meaning:
    """What a rule means that is written so."""
    problems = Problems("f")
    root = parse(f"user: [{{priority: 0, direction: INGRESS, target: DROP, {text}}}]".encode(), problems)
    assert root is not None
    found = PLAIN(root, problems)
    assert found is not None, problems.lines()
    return meaning(found.user[0])


class MeaningTests(SynchronousTestCase):
    """`meaning`."""

    def test_every_part(self) -> None:
        """Each has a value of its own."""
        cases: dict[str, Meaning] = {
            "protocol: 47": Meaning(protocol=47),
            "src: 203.0.113.0/24": Meaning(src=ip_network("203.0.113.0/24"), family=4),
            "dst: '2001:db8::/32'": Meaning(dst=ip_network("2001:db8::/32"), family=6),
            "tcp: {dport: ['!', '80:90', '85:99', 100, ':7']}": Meaning(
                6, ports=(Ports("dport", ((0, 7), (80, 100)), is_not=True),)
            ),
            "protocol: udp, multiport: {sports: '1,5:9'}": Meaning(17, ports=(Ports("sport", ((1, 1), (5, 9))),)),
            "tcp: {tcp-flags: ['!', 'SYN,FIN', 'NONE']}": Meaning(6, flags=(Flags(("fin", "syn"), (), is_not=True),)),
            "tcp: {syn: }": Meaning(6, flags=(Flags(("fin", "syn", "rst", "ack"), ("syn",)),)),
            "icmp: {icmp-type: 8/0}": Meaning(1, icmp=Icmp(8, 0), family=4),
            "icmp: {icmp-type: ['!', echo-request]}": Meaning(1, icmp=Icmp(8, is_not=True), family=4),
            "icmp: {icmp-type: any}": Meaning(1, family=4),
            "icmp: {icmp-type: 255/255}": Meaning(1, family=4),
            "icmpv6: {icmpv6-type: 255}": Meaning(58, icmp=Icmp(255), family=6),
            "icmpv6: {icmpv6-type: echo-request}": Meaning(58, icmp=Icmp(128), family=6),
            "state: {state: 'NEW,RELATED'}": Meaning(states=("new", "related")),
            "conntrack: {ctstate: ['!', INVALID]}": Meaning(states=("new", "established", "related", "untracked")),
            "limit: {limit: 7/hour}": Meaning(limit=Limit(7, "hour")),
            "connlimit: {connlimit-upto: 3, connlimit-daddr: }": Meaning(
                connections=Connections(3, is_over=False, key=("dstip",))
            ),
        }
        for text, expected in cases.items():
            self.assertEqual(said(text), expected, text)
        rule = Rule(0, Direction.EGRESS, Target.REJECT, target_options=(("reject-with", ("icmp6-adm-prohibited",)),))
        self.assertEqual(meaning(rule), Meaning(refusal="icmpx type admin-prohibited"))

    def test_limit_for_each_key(self) -> None:
        """As iptables has it; how long and how many keys are remembered is bounded."""
        words = "hashlimit-above: 5/sec, hashlimit-burst: 50, hashlimit-name: x, hashlimit-mode: 'dstport,srcip'"
        found = said(f"protocol: udp, hashlimit: {{{words}, hashlimit-htable-expire: 1500, hashlimit-htable-max: 9}}")
        key = ("srcip", "dstport")
        self.assertEqual(found.limit, Limit(5, "second", 50, is_over=True, key=key, remembered=9, time=1.5))
        found = said(f"protocol: udp, hashlimit: {{{words}, hashlimit-htable-expire: 1, hashlimit-htable-max: 999999}}")
        assert found.limit is not None
        self.assertEqual((found.limit.time, found.limit.remembered), (1.0, 65536))


class RefusalTests(SynchronousTestCase):
    """What can not be done is told where it is written, with what to write instead."""

    def refusal(self, text: str) -> str:
        """What is wrong with a rule."""
        problems = Problems("f")
        root = parse(f"user: [{{priority: 0, direction: INGRESS, target: DROP, {text}}}]".encode(), problems)
        assert root is not None
        self.assertIsNone(PLAIN(root, problems))
        [line] = problems.lines()
        self.assertTrue(line.startswith("f:1:"), line)
        return line

    def test_tells_what_to_write_instead(self) -> None:
        """One line for each."""
        for text, message in (
            ("udp: {dport: 65536}", "'65536' is no port"),
            ("udp: {dport: '9:8'}", "'9:8' ends before it begins"),
            ("udp: {dport: domain}", "'domain' is no port: write a number"),
            ("udp: {dport: ['!']}", "says no port"),
            ("multiport: {dports: 80}", "ports are of tcp, udp and sctp: write the protocol"),
            ("protocol: udp, multiport: {ports: 80}", "write a rule with 'sports' and one with 'dports'"),
            ("tcp: {tcp-flags: SYN}", "write ['FIN,SYN', 'SYN']"),
            ("tcp: {tcp-flags: ['SYN', 'ACK']}", "never matches"),
            ("tcp: {tcp-flags: ['SYN', 'XMAS']}", "'xmas' is no flag"),
            ("icmp: {icmp-type: 256}", "'256' is no type of ICMP"),
            ("icmp: {icmp-type: ['!', any]}", "leave the rule out"),
            ("icmp: {icmp-type: ['!', 8/0]}", "write the type alone"),
            ("src: 192.0.2.0/24, dst: '2001:db8::/32'", "write a rule for each family"),
            ("icmp: {icmp-type: 8}, dst: '2001:db8::/32'", "write a rule for each family"),
            ("state: {state: 'ESTABLISHED,RELATED'}", "leave this rule out"),
            ("state: {state: OLD}", "write some of NEW"),
            ("hashlimit: {hashlimit-name: x}", "either hashlimit-above or hashlimit-upto"),
            ("hashlimit: {hashlimit-above: 0/sec}", "write a rate from 1"),
            ("hashlimit: {hashlimit-above: 5/sec, hashlimit-srcmask: 24}", "leave hashlimit-srcmask"),
            ("hashlimit: {hashlimit-above: 5/sec, hashlimit-mode: dstport}", "ports are of tcp, udp and sctp"),
            ("limit: {limit: 1/sec}, hashlimit: {hashlimit-above: 5/sec}", "write two rules"),
            ("connlimit: {connlimit-above: 0}", "write a number from 1"),
            ("connlimit: {connlimit-above: }", "write a number from 1"),
            ("hashlimit: {hashlimit-above: []}", "write a rate from 1"),
            ("connlimit: {connlimit-above: 2, connlimit-mask: 24}", "leave connlimit-mask out"),
            ("string: {string: nsfw}", "the name (dns.forward.lists)"),
        ):
            self.assertIn(message, self.refusal(text))
        for part in NEVER:
            self.assertIn(f"'{part}' can not be had: ", self.refusal(f"{part}: {{}}"))

    def test_refusals_that_can_not_be_told(self) -> None:
        """A reset without TCP, and words of nobody."""
        for text, message in (("tcp-reset", "tcp-reset is of tcp"), ("icmp-magic", "'icmp-magic' can not be told")):
            rule = Rule(0, Direction.EGRESS, Target.REJECT, target_options=(("reject-with", (text,)),))
            with self.assertRaisesRegex(ValueError, message):
                meaning(rule)

    @given(
        st.none() | st.sampled_from([0, 1, 6, 17, 58, 132, 255]),
        st.lists(st.tuples(st.sampled_from(PARTS), WRITTEN), max_size=3).map(tuple),
    )  # fmt: skip
    def test_whatever_is_written_is_a_value_or_a_refusal(self, protocol: int | None, parts: Any) -> None:
        """Nothing else comes out, whatever the words."""
        try:
            meaning(Rule(0, Direction.EGRESS, Target.DROP, protocol=protocol, parts=parts))
        except ValueError as error:
            self.assertTrue(str(error))
