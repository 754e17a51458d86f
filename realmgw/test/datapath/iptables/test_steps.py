"""The last step of the translation; in a kernel it is tried where there is the module for it."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dnat
from realmgw.datapath.iptables.steps import LastStep
from realmgw.datapath.iptables.xtables import Chain
from realmgw.test.datapath.test_ruleset import SETTINGS


class RecordingChains:
    """Chains that stand nowhere but here, and what became of them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.there: Chain | None = None

    def is_installed(self, chain: Chain) -> bool:
        """Whether it is there."""
        return self.there == chain

    def place(self, chain: Chain) -> None:
        """It is there from now on."""
        self.there = chain
        self.done.append(f"placed {chain.rules[0].split()[-1]}")

    def remove(self, table: str, name: str) -> bool:
        """It is there no more."""
        was, self.there = self.there, None
        self.done.append(f"removed {name} from {table}")
        return was is not None


class LastStepTests(SynchronousTestCase):
    """`LastStep`."""

    def setUp(self) -> None:
        """A step that was just made."""
        self.chains = RecordingChains()
        self.step = LastStep("t", self.chains)  # type: ignore[arg-type]  # of the class, what is used here

    def placed(self, octet: int | None) -> list[str]:
        """What is done when every host's address begins with that."""
        self.chains.done.clear()
        self.step.change(SETTINGS, octet)
        return self.chains.done

    def test_has_nothing_to_place_with_the_map(self) -> None:
        """And takes away what was of another way."""
        self.assertEqual(self.placed(192), ["removed t from nat"])
        self.assertTrue(self.step.is_installed(SETTINGS))

    def test_is_taken_away_before_another_is_placed(self) -> None:
        """What stands and is right is left alone; without hosts there is none."""
        self.step.dnat = Dnat.MARKDNAT
        self.assertEqual(self.placed(192), ["removed t from nat", "placed 0xc0000000/0xff000000"])
        self.assertEqual(self.placed(192), [])
        self.assertEqual(self.placed(10), ["removed t from nat", "placed 0xa000000/0xff000000"])
        self.assertEqual(self.placed(None), ["removed t from nat"])
        self.assertTrue(self.step.is_installed(SETTINGS))

    def test_follows_the_pool(self) -> None:
        """The chain of another pool is another one."""
        self.step.dnat = Dnat.MARKDNAT
        self.placed(192)
        self.assertTrue(self.step.is_installed(SETTINGS))
        pools = attrs.evolve(SETTINGS.pools, circular=SETTINGS.pools.circular[:1])
        self.assertFalse(self.step.is_installed(attrs.evolve(SETTINGS, pools=pools)))
