"""Tests for `realmgw.datapath.policy.rules`; what a kernel makes of it is asked in realmgw.test.kernel."""

from __future__ import annotations

import re

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.nflog import Nflog
from realmgw.datapath.policy import logged, rules
from realmgw.datapath.policy.rules import Place
from realmgw.subscribers.firewall import Direction, Rule, Target
from realmgw.test.subscribers.examples import RULES

PLACE = Place(7, 2, "user")
HOSTILE = st.sampled_from(['a"; flush ruleset; "', "x\ny\r\0z", "\\", "}", "ü\u202e" * 200, "'`$(id)`", ""])


class LinesTests(SynchronousTestCase):
    """`lines` and `sets`."""

    def test_neutral_rule_is_one_line(self) -> None:
        """Without addresses and limits it is for both families."""
        [line] = rules.lines(Rule(5, Direction.EGRESS, Target.REJECT, comment="c"), PLACE, None)
        self.assertEqual(line, 'counter name "rule_7_2" goto forbidden comment "user, priority 5: c"')

    def test_limits_are_kept_for_the_hosts_own_address(self) -> None:
        """Which is the source of what it sends, and the destination of what it gets; in a set for each family."""
        limit = (("hashlimit", (("hashlimit-above", ("5/sec",)), ("hashlimit-mode", ("srcip",)))),)
        for direction, keys in (
            (Direction.EGRESS, ("ip saddr", "ip6 saddr")),
            (Direction.INGRESS, ("ip daddr . ip saddr", "ip6 daddr . ip6 saddr")),
        ):
            rule = Rule(0, direction, Target.DROP, parts=limit)
            for line, key, name in zip(rules.lines(rule, PLACE, None), keys, ("limit4_7_2", "limit6_7_2"), strict=True):
                self.assertIn(f"update @{name} {{ {key} limit rate over 5/second burst 5 packets }}", line)
            self.assertEqual([name for name, _ in rules.sets(rule, PLACE)], ["limit4_7_2", "limit6_7_2"])
            only = attrs.evolve(rule, protocol=1)
            self.assertEqual([name for name, _ in rules.sets(only, PLACE)], ["limit4_7_2"])

    def test_a_logged_packet_is_counted_then_told_and_goes_on(self) -> None:
        """What is beyond the limits of messages is counted as well; its prefix says where the rule comes from."""
        nflog = Nflog(group=7, rate=2, total=9, snaplen=64)
        plain = Rule(5, Direction.EGRESS, Target.LOG, comment="c")
        for options, says in (((), "c"), ((("log-prefix", ("new: ",)),), "new: ")):
            [line] = rules.lines(attrs.evolve(plain, target_options=options), PLACE, nflog)
            self.assertEqual(
                line,
                'counter name "rule_7_2" limit rate 2/second burst 2 packets limit name "packets_told"'
                f' log prefix "realmgw: user, priority 5: {says}" group 7 snaplen 64 queue-threshold 1'
                ' comment "user, priority 5: c"',
            )
        self.assertEqual(logged.objects(nflog), {"limit packets_told": "{ rate 9/second burst 9 packets; }"})

    def test_a_kernel_that_can_not_tell_counts(self) -> None:
        """And the next rule is asked."""
        [line] = rules.lines(Rule(5, Direction.EGRESS, Target.LOG), PLACE, None)
        self.assertEqual(line, 'counter name "rule_7_2" continue comment "user, priority 5"')
        self.assertEqual(logged.objects(None), {})

    @given(HOSTILE)
    def test_a_prefix_is_what_a_kernel_takes(self, said: str) -> None:
        """Whatever is said: nft reads no variable in it, and the kernel has room for it."""
        self.assertRegex(logged.prefix(said), r"\Arealmgw: [ !#%-\[\]-~]{0,111}\Z")

    @given(RULES, HOSTILE)
    def test_nothing_that_is_written_gets_out_of_its_place(self, rule: Rule, comment: str) -> None:
        """A comment is the last word of its line, in quotes; the rest, but for a prefix, is made of few characters."""
        rule = attrs.evolve(rule, comment=comment)
        try:
            lines = [*rules.lines(rule, PLACE, Nflog()), *(f"{name} {text}" for name, text in rules.sets(rule, PLACE))]
        except ValueError:
            return  # it is refused where it is read
        for line in lines:
            before, _, quoted = line.partition(" comment ")
            before, prefixes = re.subn(r' log prefix "[ !#%-\[\]-~]{1,120}" group', " log group", before)
            self.assertEqual(prefixes, int(bool(quoted) and rule.target is Target.LOG))
            self.assertRegex(before, r'\A[a-z0-9_ @{}().:/|&=!,;"-]+\Z')
            self.assertEqual(re.sub(r'"(rule_7_2|forbidden|packets_told)"', "", before).count('"'), 0)
            if quoted:
                self.assertRegex(quoted, r'\A"[ !#-\[\]-~]{1,100}"\Z')
