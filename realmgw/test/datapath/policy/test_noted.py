"""Tests for `realmgw.datapath.policy.noted`, and of the stages whose ends are told of."""

from __future__ import annotations

import zlib

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import meaning
from realmgw.config.nflog import Nflog
from realmgw.config.rules import Direction, Rule, Target
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.policy import noted, rules
from realmgw.datapath.policy.rules import Place
from realmgw.test.datapath.pipeline.test_stages import staged

TOLD = Nflog(group=5, refused=7)
PLACE = Place(7, 2, "user")


class NotedTests(SynchronousTestCase):
    """Rules that tell what they end."""

    def test_the_end_of_a_rule_is_a_chain_that_tells_of_it(self) -> None:
        """By a number that its comment gives; what ends nothing, and all where nothing is told, stays."""
        [line] = rules.lines(Rule(5, Direction.EGRESS, Target.REJECT, comment="c"), PLACE, None)
        mark = zlib.crc32(b"user, priority 5: c") | 1
        said = f'counter name "rule_7_2" meta mark set {mark:#010x} goto refused_host comment "user, priority 5: c"'
        self.assertEqual(noted.lines([line], TOLD), (said,))
        self.assertEqual(noted.number("rule_9_9", "user, priority 5: c"), mark)
        for rule in ('x goto stage_drop comment "y"', 'counter name "c" drop', 'x accept comment "drop"'):
            self.assertEqual(noted.line(rule, TOLD), rule)
        for nflog in (None, Nflog()):
            self.assertEqual(noted.line(line, nflog), line)
            self.assertEqual((noted.chains(nflog), noted.objects(nflog)), ({}, {}))

    def test_whatever_a_rule_may_refuse_with_is_told(self) -> None:
        """And its sender hears the same."""
        ends = {lines[-1] for lines in noted.chains(TOLD).values()}
        words = ("tcp-reset", *(f"icmp-{word}" for word in meaning._TOLD))
        for word in words:
            refused = Rule(1, Direction.EGRESS, Target.REJECT, protocol=6, target_options=(("reject-with", (word,)),))
            [line] = rules.lines(refused, PLACE, None)
            told = noted.line(line, TOLD)
            self.assertNotEqual(told, line, word)
            verdict = line.partition('counter name "forbidden" ')[2].partition(" comment")[0]
            self.assertIn(verdict, ends)

    def test_what_is_told_is_limited_by_sender_and_in_all(self) -> None:
        """In the group behind that of LOG; and then the packet ends, whether it was told of or not."""
        of4, of6, end = noted.chains(TOLD)["refused_drop"]
        self.assertEqual(
            of4,
            "update @refused_told_ip { ip saddr limit rate 5/second burst 5 packets } "
            'limit name "refused_told" log group 6 snaplen 64 queue-threshold 1',
        )
        self.assertIn("{ ip6 saddr limit", of6)
        self.assertEqual(end, "drop")
        self.assertEqual(noted.objects(TOLD)["limit refused_told"], "{ rate 7/second burst 7 packets; }")
        self.assertEqual(noted.group(Nflog(group=65535)), 0)
        self.assertTrue(noted.is_chain("refused_drop"))
        self.assertFalse(noted.is_chain("stage_refuse"))

    def test_stages_tell_what_they_end(self) -> None:
        """All of them, each by another number, but for what tells senders."""
        made = stages(staged("{preemptive: {checks: [flags, ports, rules], rules: [{priority: 1, target: DROP}]}}"))
        told = parts.noting(made, TOLD)
        self.assertEqual(told.chains[parts.REFUSE], made.chains[parts.REFUSE])
        self.assertEqual(told.chains[noted.STAGE][-1], f"goto {parts.REFUSE}")
        text = "\n".join(told.chains["stage_preemptive"])
        self.assertNotIn(" drop ", text)
        for counter in ("stage_flags", "stage_ports", "rule_preemptive_1"):
            self.assertRegex(text, rf'counter name "{counter}" meta mark set 0x[0-9a-f]{{8}} goto refused_')
        self.assertEqual(parts.noting(made, None), made)
