"""The translation of prefixes; in a kernel it is tried with a LAN that leaves by it."""

from __future__ import annotations

from ipaddress import IPv6Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Ipv6, Leave6, Outbound6, Settings
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.prefixes import PrefixStep
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.iptables.test_steps import RecordingChains
from realmgw.test.datapath.test_ruleset import SETTINGS

INSIDE, OUTSIDE = IPv6Network("fd01:203:405::/48"), IPv6Network("2001:db8:1::/48")
LISTED = """-P PREROUTING ACCEPT
-P POSTROUTING ACCEPT
-N t_nptv6
-A POSTROUTING -o wan0 -m conntrack ! --ctstate DNAT -j t_nptv6
-A t_nptv6 -s fd01:203:405::/48 -j SNPT --src-pfx fd01:203:405::/48 --dst-pfx 2001:db8:1::/48
"""
"""What ip6tables lists when it is in place."""


def with_prefixes(*pairs: tuple[IPv6Network, IPv6Network]) -> Settings:
    """A LAN leaves with other prefixes, another one is routed."""
    lans = [Outbound6(f"lan{at}", Leave6.NPTV6, *pair) for at, pair in enumerate(pairs)]
    return attrs.evolve(SETTINGS, ipv6=Ipv6(outbound=(*lans, Outbound6("lan9", Leave6.ROUTE))))


class PrefixStepTests(SynchronousTestCase):
    """`PrefixStep`."""

    def setUp(self) -> None:
        self.chains = RecordingChains()
        self.step = PrefixStep("t", self.chains)  # type: ignore[arg-type]  # of the class, what is used here

    def test_is_placed_once_and_follows_the_settings(self) -> None:
        """What stands and is right is left alone; without prefixes there is none."""
        one, other = with_prefixes((INSIDE, OUTSIDE)), with_prefixes((INSIDE, IPv6Network("2001:db8:2::/48")))
        for settings in (one, one, other, with_prefixes()):
            self.step.place(settings)
            self.assertTrue(self.step.is_installed(settings))
        self.assertEqual(
            self.chains.done, ["placed 2001:db8:1::/48", "placed 2001:db8:2::/48", "removed t_nptv6 from mangle"]
        )
        self.assertFalse(self.step.is_installed(one))

    def test_leads_there_and_back(self) -> None:
        """And runs no program where the prefixes are the same, as with each host that comes."""
        one, other = with_prefixes((INSIDE, OUTSIDE)), with_prefixes((INSIDE, IPv6Network("2001:db8:2::/48")))
        for same in (one, with_prefixes()):
            with self.step.leading(same, same):
                pass
        self.assertEqual(self.chains.done, [])
        leading = self.step.leading(one, other)
        leading.__enter__()
        refused = RealmGatewayError("refused")
        self.assertIs(leading.__exit__(type(refused), refused, None), False)  # it is raised again
        self.assertEqual(self.chains.done, ["placed 2001:db8:2::/48", "placed 2001:db8:1::/48"])

    def test_is_listed_as_it_was_placed(self) -> None:
        """One jump from POSTROUTING, which passes by what belongs to the pool; and it is known for ours."""
        self.step.place(with_prefixes((INSIDE, OUTSIDE)))
        chain = self.chains.there
        assert chain is not None
        self.assertTrue(xtables.is_installed(LISTED, chain))
        self.assertFalse(xtables.is_installed(LISTED.replace("-o wan0", "-o wan1"), chain))
        self.assertFalse(xtables.is_foreign(LISTED, "t_nptv6"))
        self.assertTrue(xtables.is_foreign(LISTED.replace("-j SNPT", "-j DNPT"), "t_nptv6"))
        expected = ("-w", "10", "-t", "mangle", "-I", "POSTROUTING", "-o", "wan0", "-m", "conntrack", "!")
        self.assertEqual(xtables.jump(chain)[: len(expected)], expected)
        [jump, *_] = xtables.removal(LISTED, "mangle", "t_nptv6")
        self.assertEqual(jump[4:7], ("-D", "POSTROUTING", "-o"))
