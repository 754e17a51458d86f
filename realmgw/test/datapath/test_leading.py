"""Tests for `realmgw.datapath.leading`."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dnat
from realmgw.datapath import leading, ruleset
from realmgw.datapath.leading import Rulesets
from realmgw.datapath.ruleset import Ruleset
from realmgw.test.datapath.test_ruleset import SETTINGS


class RulesetsTests(SynchronousTestCase):
    """What settings ask for, again and again."""

    def test_the_same_is_made_once(self) -> None:
        """However many hosts come and go: a thousand turns with the same settings, or with equal ones."""
        made = list[Ruleset]()

        class Counted(Ruleset):
            """Notes when one is made."""

            def __attrs_post_init__(self) -> None:
                made.append(self)

        self.patch(leading, "Ruleset", Counted)
        rulesets, equal = Rulesets(), attrs.evolve(SETTINGS)
        every = {id(rulesets.of(each, native_queue=True, dnat=Dnat.MAP)) for each in (SETTINGS, equal) * 500}
        self.assertEqual((len(every), len(made)), (1, 1))
        self.assertFalse(ruleset.is_replaced(made[0], made[0]))
        self.assertEqual(len(made), 1, "to compare one with itself makes none")

    def test_another_one_is_made_anew(self) -> None:
        """Of other settings, or of a machine that can something else; and again what is refused."""
        rulesets = Rulesets()
        other = attrs.evolve(SETTINGS, name="other")
        for settings, native in ((SETTINGS, True), (SETTINGS, False), (other, False), (SETTINGS, True)):
            made = rulesets.of(settings, native_queue=native)
            self.assertEqual(made, Ruleset.of(settings, native_queue=native))
