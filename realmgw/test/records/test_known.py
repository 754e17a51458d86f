"""What a recorder knows of addresses and flows."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.records import known as module
from realmgw.records.known import Known, Subscriber

ADDRESS, OTHER, OWN = (ip_address(each).packed for each in ("192.168.0.10", "192.168.0.11", "192.168.0.1"))
ONE, TWO = Subscriber("one.example.org.", ("gold",)), Subscriber("two.example.org.", ())


class KnownTests(SynchronousTestCase):
    """Whose what is."""

    def setUp(self) -> None:
        """A LAN of one host."""
        self.known = Known()
        self.known.be_around(["192.168.0.0/24", "2001:db8::/64"], [OWN])
        self.known.put(ADDRESS, ONE, 0.0)

    def test_an_address_is_his_who_had_it_when_the_flow_began(self) -> None:
        """Also if it has passed on, or is nobody's any more."""
        self.known.put(ADDRESS, TWO, 100.0)
        self.assertEqual([self.known.subscriber(ADDRESS, at) for at in (99.0, 101.0, None)], [ONE, TWO, TWO])
        self.known.put(ADDRESS, None, 200.0)
        self.assertEqual([self.known.subscriber(ADDRESS, at) for at in (199.0, 201.0)], [TWO, None])
        self.assertTrue(self.known.is_inside(ADDRESS))

    def test_what_is_told_again_changes_nothing(self) -> None:
        """As when a recorder is told of all hosts a second time."""
        self.known.put(ADDRESS, ONE, 100.0)
        self.assertEqual(self.known.subscriber(ADDRESS, 99.0), ONE)

    def test_others_on_a_lan_are_inside_and_the_gateway_is_not(self) -> None:
        """By both families."""
        inside = [ip_address(each).packed for each in ("192.168.0.77", "2001:db8::7")]
        outside = [ip_address(each).packed for each in ("203.0.113.7", "2001:db8:1::7")]
        self.assertEqual([self.known.is_inside(each) for each in (*inside, *outside, OWN)], [True] * 2 + [False] * 3)
        self.assertIsNone(self.known.subscriber(inside[0], 1.0))

    def test_a_bounded_number_of_flows_is_known(self) -> None:
        """The oldest are forgotten."""
        self.patch(module, "MOST_OPENED", 3)
        flows = [(ADDRESS, OTHER, 17, port, 53) for port in range(5)]
        self.known.open([(0.0, 1, "one.example.org.", flow, 1) for flow in flows], 4)
        self.assertEqual(list(self.known.opened), flows[2:])

    def test_who_was_let_in_without_a_name_has_none(self) -> None:
        """What is told in its place is his host's."""
        flows = [(ADDRESS, OTHER, 17, port, 53) for port in (1, 2)]
        self.known.open([(0.0, port, "one.example.org.", flow, port) for port, flow in enumerate(flows, 1)], 2)
        self.assertEqual(self.known.opened, {flows[0]: ("one.example.org.", 1)})

    def test_a_bounded_number_of_strangers_is_remembered(self) -> None:
        """They are looked at again."""
        self.patch(module, "MOST_STRANGERS", 3)
        for number in range(9):
            self.assertFalse(self.known.is_inside(bytes((203, 0, 113, number))))
        self.assertLessEqual(len(self.known._strangers), 3)
