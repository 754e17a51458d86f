"""What a kernel lists of every kind of rule that can be written, beside the list that is kept: `golden.nft`.

Whoever changes what rules become looks at the difference, and has it written anew:
`REALMGW_WRITE_GOLDEN=1 trial realmgw.test.kernel.test_golden`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from realmgw.config.meaning import meaning
from realmgw.config.rules import KNOWN
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.pipeline.test_stages import ALL, staged
from realmgw.test.kernel.rules_case import RulesTestCase, firewall

GOLDEN = Path(__file__).with_name("golden.nft")
RULES = """
{priority: 1, direction: EGRESS, src: 192.168.0.0/24, dst: 203.0.113.7, target: ACCEPT},
{priority: 2, direction: EGRESS, src: 'fd00::/64', dst: '2001:db8::7', target: DROP},
{priority: 3, direction: INGRESS, src: '2001:db8:1::/48', target: ACCEPT},
{priority: 4, direction: INGRESS, protocol: 47, target: DROP},
{priority: 10, direction: EGRESS, tcp: {sport: 1024, dport: 80}, target: ACCEPT},
{priority: 11, direction: EGRESS, tcp: {source-port: ':1023', destination-port: ['!', '8000:']}, target: DROP},
{priority: 12, direction: INGRESS, udp: {dport: [53, '100:200', '150:300', 123]}, target: DROP},
{priority: 13, direction: INGRESS, sctp: {dport: ['!', '9']}, target: DROP},
{priority: 14, direction: INGRESS, protocol: tcp, multiport: {dports: '80,443,8000:8100'}, target: ACCEPT},
{priority: 15, direction: INGRESS, protocol: udp, multiport: {sports: '1:9,53'}, target: ACCEPT},
{priority: 20, direction: INGRESS, tcp: {tcp-flags: ['FIN,SYN,RST,ACK', 'SYN']}, target: ACCEPT},
{priority: 21, direction: INGRESS, tcp: {tcp-flags: ['ALL', 'NONE']}, target: DROP},
{priority: 22, direction: INGRESS, tcp: {tcp-flags: ['!', 'SYN,RST', 'SYN']}, target: DROP},
{priority: 23, direction: INGRESS, tcp: {syn: }, target: ACCEPT},
{priority: 24, direction: INGRESS, tcp: {syn: '!'}, target: DROP},
{priority: 30, direction: INGRESS, icmp: {icmp-type: echo-request}, target: ACCEPT},
{priority: 31, direction: INGRESS, icmp: {icmp-type: 3/4}, target: ACCEPT},
{priority: 32, direction: INGRESS, icmp: {icmp-type: ['!', '8']}, target: DROP},
{priority: 33, direction: INGRESS, icmpv6: {icmpv6-type: packet-too-big}, target: ACCEPT},
{priority: 34, direction: INGRESS, icmpv6: {icmpv6-type: 1/3}, target: DROP},
{priority: 40, direction: EGRESS, state: {state: 'NEW,ESTABLISHED'}, target: ACCEPT},
{priority: 41, direction: EGRESS, conntrack: {ctstate: ['!', INVALID]}, target: ACCEPT},
{priority: 50, direction: EGRESS, limit: {limit: 5/sec, limit-burst: 50}, target: ACCEPT},
{priority: 51, direction: EGRESS, udp: {dport: 53}, hashlimit: {hashlimit-above: 10/min, hashlimit-burst: 7,
  hashlimit-name: dns, hashlimit-mode: srcip, hashlimit-htable-expire: 30000, hashlimit-htable-max: 4096,
  hashlimit-htable-size: 64, hashlimit-htable-gcinterval: 1000}, target: REJECT},
{priority: 52, direction: INGRESS, protocol: tcp, hashlimit: {hashlimit-upto: 20/hour,
  hashlimit-mode: 'srcip,srcport,dstip,dstport'}, target: ACCEPT},
{priority: 53, direction: INGRESS, src: 203.0.113.0/24, hashlimit: {hashlimit-above: 1/day, hashlimit-mode: dstip},
  target: DROP},
{priority: 60, direction: INGRESS, protocol: tcp, connlimit: {connlimit-above: 100}, target: DROP},
{priority: 61, direction: EGRESS, protocol: tcp, connlimit: {connlimit-upto: 10, connlimit-daddr: }, target: ACCEPT},
{priority: 62, direction: INGRESS, connlimit: {connlimit-above: 9, connlimit-saddr: }, target: DROP},
{priority: 70, direction: INGRESS, target: {REJECT: {reject-with: icmp-host-prohibited}}},
{priority: 71, direction: INGRESS, protocol: tcp, target: {REJECT: {reject-with: tcp-reset}}},
{priority: 72, direction: EGRESS, target: REJECT, comment: {comment: "\\"; flush ruleset; é"}},
{priority: 80, direction: EGRESS, udp: {dport: 53}, limit: {limit: 5/sec}, target: LOG, comment: {comment: asks}},
{priority: 81, direction: INGRESS, target: {LOG: {log-prefix: "\\"; $x é "}}, comment: {comment: not this}}
"""
"""Each match and target, each of its options, turned around where that can be."""
OURS = (
    "class_",
    "limit4",
    "limit6",
    "flows4",
    "flows6",
    "host_",
    "forbidden",
    "classes",
    "egress",
    "ingress",
    "stage_",
)
REFUSED = {
    ("hashlimit", "hashlimit-srcmask"),
    ("hashlimit", "hashlimit-dstmask"),
    ("connlimit", "connlimit-mask"),
    ("", "ports"),
}
"""Options that are known, and refused with what to write instead."""


def blocks(listed: str) -> str:
    """What stands of rules of hosts and of stages, in the order of their names; without what was counted."""
    found = re.findall(r"^(\w+ (\S+) \{\n.*?^\})$", re.sub("(?m)^\t", "", listed), re.MULTILINE | re.DOTALL)
    every = sorted(text for text, name in found if name.startswith(OURS))
    return "\n".join(re.sub(r"\bpackets \d+ bytes \d+", "packets 0 bytes 0", text) for text in every) + "\n"


class GoldenTests(RulesTestCase):
    """`nft list` of it all."""

    maxDiff = None

    def test_a_kernel_has_understood_what_was_meant(self) -> None:
        """Whatever a host and a stage can have, line by line."""
        after = staged(ALL, self.settings)
        self.testbed.call("gwa", self.kernel.change, after, change(self.hosts, self.hosts))
        self.settings = after
        first, *others = self.hosts
        profile = attrs.evolve(first.profile, groups=("late", "prepaid-1"), firewall=firewall(RULES))
        self.lead((attrs.evolve(first, profile=profile), *others))
        found = blocks(self.nft("--stateless", "list", "table", "inet", "realmgw"))
        if "REALMGW_WRITE_GOLDEN" in os.environ:
            GOLDEN.write_text(found)
        self.assertEqual(found.splitlines(), GOLDEN.read_text().splitlines())

    @staticmethod
    def place(part: str, word: str) -> tuple[str, str]:
        """Where an option belongs; ports are the same wherever they stand."""
        return ("", word) if word.endswith(("port", "ports")) and part != "hashlimit" else (part, word)

    def test_every_option_is_in_it(self) -> None:
        """One that is added later is missed here."""
        said = {
            self.place(part, word)
            for rule in firewall(RULES).user
            for part, options in rule.parts
            for word, _ in options
        }
        known = {self.place(part, word) for part, options in KNOWN.items() if part != "comment" for word in options}
        self.assertEqual(known - said, REFUSED)
        self.assertTrue(all(meaning(rule) for rule in firewall(RULES).user))
