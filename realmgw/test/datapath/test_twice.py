"""How TCP is had to come twice, as text; what a kernel does by it is seen in realmgw.test.kernel.test_twice."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import ruleset, twice
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.leading import Rulesets
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.ruleset import Ruleset
from realmgw.test.datapath.test_ruleset import DUAL, SETTINGS


class TwiceTests(SynchronousTestCase):
    """Rules, sets and the switch."""

    def setUp(self) -> None:
        """A table of IPv4, and one of both families."""
        self.plain, self.dual = (Ruleset.of(each, native_queue=True) for each in (SETTINGS, DUAL))

    def chain(self, made: Ruleset, name: str) -> list[str]:
        """The rules of a chain."""
        return list(ruleset.texts(made, Classes())[name])

    def test_only_what_would_be_presented_is_asked(self) -> None:
        """Strays, wrong flags and forged sources of ours are dropped before, and take up no room."""
        rules = self.chain(self.dual, "first_packet")
        at = rules.index(twice.ASKED)
        self.assertIn("presented6", rules[at + 1])
        self.assertIn("spoofed_source", rules[at - 1])
        self.assertEqual(len(rules), at + 3)

    def test_who_came_first_goes_no_further(self) -> None:
        """Only what is noted already, and not just now, returns to where it came from."""
        for made, families in ((self.plain, 1), (self.dual, 2)):
            rules = self.chain(made, twice.CHAIN)
            ends = [rule.rsplit(" ", 1)[-1] for rule in rules]
            self.assertEqual(ends, [*["drop", "return", "}", "drop"] * families, "drop"])

    def test_a_table_asks_nobody_unless_told(self) -> None:
        """And it says so itself: a repair places what was so."""
        asking = attrs.evolve(self.plain, asks_twice=True)
        self.assertIn("set asked_twice { type inet_proto; }", ruleset.replacement(self.plain, ()))
        for text in (ruleset.replacement(asking, ()), ruleset.replacement(asking.bare, (), shut=True)):
            self.assertIn("set asked_twice { type inet_proto; elements = { tcp }; }", text)

    def test_a_reload_meanwhile_changes_only_what_is_reloaded(self) -> None:
        """The table is not replaced for it."""
        made = Rulesets().of(SETTINGS, native_queue=True, asks_twice=True)
        self.assertTrue(made.asks_twice)
        self.assertEqual(ruleset.changes(made, made, HostChange({})), "")

    def test_the_sets_are_bounded(self) -> None:
        """Each of them, of either family."""
        sets = [each for each in twice.declared(ipv6=True, asked=False) if "dynamic" in each]
        self.assertEqual(len(sets), 4)
        self.assertTrue(all(" size " in each and " timeout " in each for each in sets))

    def test_the_switch_is_an_element(self) -> None:
        """To switch off what is off is no error: it is put there first, in the same transaction."""
        commands = [
            [line for some in twice.switched(asked=asked) for line in some.commands("t")] for asked in (True, False)
        ]
        put, away = (f"{verb} element inet t asked_twice {{ tcp }}" for verb in ("add", "delete"))
        self.assertEqual(commands, [[put], [put, away]])
