"""`testbed.programs.keeping`: what real resolvers, as they come, make of a TTL of 0 for clients at other addresses."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import PREFIX

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.programs import keeping
    from testbed.realm.settings import ROWS, Row

DELAYS = (0.05, 3.0, 6.5)
"""Seconds: within what any of them keeps; within what one of them keeps; beyond all."""
ROUNDS = 4
AT_ONCE = 4
"""So many resolvers side by side."""


class KeepingTests(SynchronousTestCase):
    """What `testbed.realm.settings` and docs/resolvers.md say of who keeps answers."""

    skip = requirements.missing_for_gateway()

    def test_each_resolver_keeps_answers_for_as_long_as_it_is_said_to(self) -> None:
        """Knot Resolver for seconds, PowerDNS Recursor for a second at most, the others not at all."""
        rows = [row for row in ROWS if row.usual and row.missing is None]

        def seen(row: Row) -> keeping.Kept:
            return keeping.measure(row, f"{PREFIX}kept{ROWS.index(row)}-", DELAYS, ROUNDS)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(seen, rows))
        for row, kept in zip(rows, found, strict=True):
            self.assertEqual(kept.trouble, "")
            for delay, share in zip(DELAYS, kept.shares, strict=True):
                whole, none = delay + 1.0 < row.kept, delay >= row.kept
                self.assertTrue(share == 1.0 if whole else share == 0.0 if none else share > 0.0, (delay, kept))
