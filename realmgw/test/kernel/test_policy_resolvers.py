"""Real resolvers, where they are installed, under each challenge; `testbed/matrix` is the long form."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.programs import challenged
    from testbed.realm import resolvers

COUNT = 3
"""How often each is asked under each challenge."""
LEFT_OUT = ("adaptive, no cookies",)
"""Measured by the long form only."""


class ResolverTests(SynchronousTestCase):
    """All of them, once for all tests; each test is about one."""

    skip = requirements.missing_for_gateway() or programs.missing("make", "cc")
    measured: ClassVar[Mapping[tuple[str, str], challenged.Cell]] = {}

    def setUp(self) -> None:
        """Measures, if no test before did."""
        if not ResolverTests.measured:
            generator.build()
            wanted = [each for each in challenged.CHALLENGES if each.title not in LEFT_OUT]
            cells = [cell for each in wanted for cell in challenged.measure(each, COUNT, f"{PREFIX}matrix-")]
            ResolverTests.measured = {(cell.resolver, cell.challenge): cell for cell in cells}

    def assert_resolves(self, title: str, *, but: tuple[str, ...] = ()) -> None:
        """It resolves everything under every challenge but some, and every answer leads to its host."""
        missing = {kind.title: kind.missing() for kind in resolvers.RESOLVERS}.get(title)
        if missing:
            raise SkipTest(missing)
        for (resolver, challenge), cell in self.measured.items():
            if resolver == title:
                expected = 0 if challenge in but else COUNT
                self.assertEqual((challenge, len(cell.times), cell.reached), (challenge, expected, expected), cell)

    def test_one_that_does_not_start_fails_its_own_row_only(self) -> None:
        """With its last words; what is asked of the others is asked."""
        words = ["sh", "-c", "echo nothing works here; exit 3"]
        broken = resolvers.Kind("broken", "coreutils", "false", lambda site: words)
        others = [kind for kind in resolvers.RESOLVERS if not kind.missing()]
        self.patch(challenged, "available", lambda: [broken, *others])
        cells = challenged.measure(challenged.CHALLENGES[0], 1, f"{PREFIX}broken-")
        self.assertEqual({cell.resolver for cell in cells if not cell.reached}, {"broken"})
        self.assertIn("nothing works here", " ".join(cells[2].losses))

    def test_a_raw_client_passes_every_challenge(self) -> None:
        """One that asks the gateway itself, and does what it is told."""
        self.assert_resolves(challenged.RAW)

    def test_a_raw_client_with_cookies_passes_every_challenge(self) -> None:
        """It sends the server's cookie back (RFC 7873)."""
        self.assert_resolves(challenged.RAW_COOKIE)

    def test_unbound_passes_every_challenge(self) -> None:
        """As it comes, as all of them."""
        self.assert_resolves("unbound")

    def test_bind_passes_every_challenge(self) -> None:
        """It sends cookies."""
        self.assert_resolves("BIND")

    def test_knot_resolver_passes_every_challenge(self) -> None:
        """Told to keep no answer for longer than it may."""
        self.assert_resolves("Knot Resolver")

    def test_powerdns_recursor_passes_every_challenge(self) -> None:
        """Told to keep no answer for longer than it may."""
        self.assert_resolves("PowerDNS Recursor")

    def test_systemd_resolved_passes_every_challenge(self) -> None:
        """It forwards, and follows aliases itself."""
        self.assert_resolves("systemd-resolved")

    def test_dnsmasq_follows_no_aliases(self) -> None:
        """It forwards what it is asked, and hands on what comes: a zone with `cname` needs a resolver before it."""
        self.assert_resolves("dnsmasq", but=("cname", "tcpcname"))

    def test_dnsmasq_before_a_resolver_passes_every_challenge(self) -> None:
        """As it is meant to be used."""
        if (missing := resolvers.RESOLVERS[0].missing()) is not None:
            raise SkipTest(missing)
        self.assert_resolves(challenged.ROUTED)
