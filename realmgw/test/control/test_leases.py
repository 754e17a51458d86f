"""Tests for `realmgw.control.leases`."""

from __future__ import annotations

import attrs

from realmgw.config.steps import PORTION
from realmgw.control.command import shown
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.sorting import ROWS
from realmgw.subscribers.leases.book import DHCID
from realmgw.subscribers.leases.records import Record, Transaction
from realmgw.subscribers.leases.service import GRACE
from realmgw.test.control.test_gateway import GatewayTestCase


class LeaseCommandTests(GatewayTestCase):
    """What operators, and scripts of DHCP servers, do with registrations."""

    def test_a_host_is_registered_moved_and_removed(self) -> None:
        """As by an update, and shown as such."""
        answer = self.do("leases/add", name="h.example.org", address="192.168.0.9", lifetime="60")
        self.assertEqual((answer["addresses"], answer["ends_in"]), (["192.168.0.9"], 60.0))
        self.do("leases/add", name="h.example.org", address="2001:db8::9", lifetime="60")
        self.made.pass_time(20.0)
        answer = self.do("leases/add", name="h.example.org", address="192.168.0.10", lifetime="60")
        self.assertEqual(answer["addresses"], ["2001:db8::9", "192.168.0.10"])
        host = self.do("subscribers/show", name="h.example.org")
        self.assertEqual((host["source"], host["registered"]["since"]), ("dynamic updates", 20.0))
        [line] = [line for line in shown.subscriber(host) if line.startswith("registered")]
        self.assertRegex(line, r"^registered 20.* ago without a key, refreshed 0.* ago, it ends in (60|1 )")
        self.assertIsNone(self.do("subscribers/show", name="a.example.org")["registered"])
        self.assertEqual(self.do("leases/remove", name="h.example.org")["types"], ["A", "AAAA"])
        self.assertNotIn("h.example.org.", self.made.names)

    def test_one_address_is_removed(self) -> None:
        """Of a name in whichever case; all with the last one, and nothing of who has another by now."""
        for address in ("192.168.0.9", "2001:db8::9"):
            self.do("leases/add", name="DESKTOP-AB.example.org", address=address)
        for name, address in (("desktop-ab.example.org", "192.168.0.10"), ("a.example.org", "192.168.0.1")):
            self.assertEqual(self.refusal("leases/remove", name=name, address=address), ExitStatus.NOT_FOUND)
        self.assertEqual(self.refusal("leases/remove", name="h.example.org", address="h"), ExitStatus.USAGE)
        told = self.do("leases/remove", name="Desktop-AB.example.org", address="192.168.0.9")
        self.assertEqual([*shown.registered_before(told)], ["desktop-ab.example.org.: removed, 2001:db8::9 is left"])
        leases = self.gateway._insight.leases
        kept = Transaction("", (), (Record("desktop-ab.example.org.", DHCID, 1, b"whose"),))
        done = leases._service.change(kept)
        self.made.pass_time()
        self.successResultOf(done)
        self.assertEqual(leases.of("desktop-ab.example.org.")["addresses"], ["2001:db8::9"])
        self.assertEqual(self.do("subscribers/show", name="desktop-ab.example.org")["address"], None)
        told = self.do("leases/remove", name="desktop-ab.example.org.", address="2001:DB8:0::9")
        self.assertEqual([*shown.registered_before(told)], ["desktop-ab.example.org.: removed"])
        self.assertIsNone(leases.of("desktop-ab.example.org."))
        self.assertNotIn("desktop-ab.example.org.", self.made.names)

    def test_it_goes_after_its_time(self) -> None:
        """Without an update that removes it."""
        self.do("leases/add", name="h.example.org", address="192.168.0.9", lifetime="60")
        self.made.pass_time(60.0 + GRACE)
        self.assertNotIn("h.example.org.", self.made.names)

    def test_what_is_registered_is_listed(self) -> None:
        """By name or key, some at a time; with why something has no effect."""
        for number in range(3):
            self.do("leases/add", name=f"h{number}.example.org", address=f"192.168.0.{number + 10}")
        self.do("leases/add", name="a.example.org", address="192.168.0.1")
        answer = self.do("leases/list", match="h", limit="2")
        self.assertEqual((answer["total"], [row["name"][:2] for row in answer["leases"]]), (3, ["h0", "h1"]))
        lines = list(shown.leases(answer))
        self.assertEqual(lines[1].split()[:4], ["h0.example.org.", "192.168.0.10", "A", "-"])
        self.assertEqual((len(lines), lines[-1]), (4, "1 more"))
        self.assertEqual(self.do("leases/list", key="dhcp")["total"], 0)

    def test_others_have_their_turn_while_a_long_list_is_made(self) -> None:
        """It is made in steps."""
        self.do("leases/add", name="h.example.org", address="192.168.0.9")
        leases = self.gateway._insight.leases
        [lease], book = leases._service.book.leases.values(), leases._service.book.leases
        book.update((f"h{number}.", attrs.evolve(lease, name=f"h{number}.")) for number in range(2 * PORTION))
        steps = 0
        for _ in leases.list("H", "", ROWS):
            steps += 1
        self.assertEqual(steps, 3 + 1 + 2)
        answer = self.do("leases/list", match="H10", limit="1")
        self.assertEqual((answer["total"], answer["leases"][0]["name"]), (1 + 10 + 24, "h10."))

    def test_what_can_not_be_is_refused(self) -> None:
        """With its reason."""
        self.assertEqual(self.refusal("leases/add", name="-", address="192.168.0.9"), ExitStatus.USAGE)
        self.assertEqual(self.refusal("leases/add", name="h.example.org", address="h"), ExitStatus.USAGE)
        self.assertEqual(self.refusal("leases/remove", name="h.example.org"), ExitStatus.NOT_FOUND)
        done = self.gateway.do("leases/add", {"name": "h.example.org", "address": "192.168.0.1"})
        error = self.failureResultOf(done, CommandError).value
        self.assertIn("belongs to a.example.org.", str(error))
        self.assertIs(error.status, ExitStatus.PROBLEMS)  # as of a subscriber in a file
