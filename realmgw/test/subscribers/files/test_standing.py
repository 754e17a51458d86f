"""Tests for `realmgw.subscribers.files.standing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import finish
from realmgw.subscribers.files.incremental import alone
from realmgw.subscribers.files.standing import Sought, finding

PLAIN = b"""# one.example.org is below
two.example.org: {address: 192.168.0.2}  # not one.example.org
One.Example.org.:
  address: 192.168.0.1
  max_claims: 5
  firewall:
    admin:
      - {priority: 7, direction: INGRESS, target: DROP}
      - priority: 5
        direction: EGRESS
        target: REJECT
    user: [{priority: 5, direction: EGRESS, target: DROP}]
"""
ESTABLISHED = b"""x.example.org:
    ID: {FQDN: [one.example.org], IPV4: [192.168.0.1]}
    FIREWALL:
        FIREWALL_USER:
            - {priority: 5, direction: EGRESS, target: DROP}
"""
ONE = "one.example.org."


class StandingTests(SynchronousTestCase):
    """Lines of a file."""

    def line(self, text: bytes, sought: Sought) -> int | None:
        """Where it is found."""
        return finish(finding(text, sought))

    def test_finds_a_host_its_keys_and_its_rules(self) -> None:
        """Whatever its name is written like, and whoever names it in a comment."""
        entry = alone(PLAIN[PLAIN.index(b"One") :])
        assert entry is not None
        later, sooner = entry.profile.firewall.admin[::-1]
        [last] = entry.profile.firewall.user
        for sought, line in (
            (Sought(ONE), 3), (Sought("two.example.org."), 2), (Sought(ONE, key="max_claims"), 5),
            (Sought(ONE, rule=sooner), 9), (Sought(ONE, rule=later), 8), (Sought(ONE, rule=last), 12),
            (Sought("two.example.org.", rule=last), 2), (Sought("two.example.org.", key="max_claims"), 2),
            (Sought("three.example.org."), None),
        ):  # fmt: skip
            self.assertEqual(self.line(PLAIN, sought), line, sought)
        self.assertEqual(self.line(ESTABLISHED, Sought(ONE, rule=last)), 5)
        self.assertEqual(
            self.line(b"{%s}" % PLAIN[PLAIN.index(b"two") :].split(b"  #")[0], Sought("two.example.org.")), 1
        )

    def test_stops_where_there_are_too_many_others(self) -> None:
        """Who names the host in a thousand comments has its line not found; nobody waits for that."""
        others = b"".join(b"h%d.example.org: {address: 192.168.1.1} # one.example.org\n" % at for at in range(1000))
        self.assertIsNone(self.line(others + PLAIN, Sought(ONE)))
        self.assertEqual(self.line(PLAIN + others, Sought(ONE)), 3)
