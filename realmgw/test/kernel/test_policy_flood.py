"""Spoofed queries by the thousand, reduced; `testbed/traffic` is the long form."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import PREFIX

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.player.defences import OFF, ON
    from testbed.player.template import TCP, UDP, Option
    from testbed.programs import floods

if TYPE_CHECKING:
    from testbed.player.defences import Defence

RATE = 3000
"""Spoofed queries per second."""
SECONDS = 2.0
"""How long each is measured, after another second of flood."""


class FloodTests(SynchronousTestCase):
    """100 honest flows a second, 64 addresses, 100 names."""

    skip = requirements.missing_for_gateway() or programs.missing("make", "cc")
    groups: ClassVar[int] = 10

    def flood(self, protocol: int, defence: Defence, *options: Option) -> floods.Flood:
        """What came of a flood."""
        generator.build()
        case = floods.Case("reduced", defence, protocol, RATE, options)
        flood = floods.run(case, SECONDS, f"{PREFIX}flood-")
        self.assertGreater(flood.rate, 0.8 * RATE)
        return flood

    def assert_unharmed(self, flood: floods.Flood) -> None:
        """Honest clients came through, to their hosts; the flood took nothing, neither addresses nor memory."""
        self.assertGreaterEqual(flood.success, 0.99, flood.honest.losses)
        self.assertNotIn("misdelivered", flood.honest.losses)
        self.assertLess(max(self.waiting(flood)), floods.SIZE // 2)
        self.assertLess(max(len(look.standing) for look in flood.looks), self.groups)

    def waiting(self, flood: floods.Flood) -> list[int]:
        """How many addresses waited for a first packet, at each look while the flood ran.

        Before it, the honest resolver is new, and its answers are held for longer.
        """
        during = [look.waiting for look in flood.looks if look.when > 0]
        self.assertTrue(during)
        return during

    def test_harms_nobody_who_comes_by_tcp(self) -> None:
        """Spoofed queries get a challenge, and that is all."""
        self.assert_unharmed(self.flood(TCP, ON))

    def test_harms_nobody_who_passes_a_challenge(self) -> None:
        """A resolver that asks by UDP, and does what it is told."""
        self.assert_unharmed(self.flood(UDP, ON))

    def test_harms_nobody_who_has_a_cookie(self) -> None:
        """One round trip less than by TCP."""
        self.assert_unharmed(self.flood(UDP, ON, Option.COOKIE))

    def test_takes_the_whole_pool_without_defences(self) -> None:
        """So the tests above could fail; that addresses are shared and waited for keeps honest clients going."""
        self.assertGreater(statistics.median(self.waiting(self.flood(UDP, OFF))), 0.9 * floods.SIZE)
