"""Tests of the pool: states, the order in which addresses are lent, and which services share one."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.pool.circular import PARTIAL_PROBE, Pool, fits
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.state import TRANSITIONS, Address, Reservation, State, overlap
from realmgw.errors import RealmGatewayError
from realmgw.test.allocation.scene import service

KEYS = st.builds(lambda protocol, port: protocol << 16 | port, st.integers(0, 3), st.integers(0, 3))


def stand(address: Address, key: int) -> Reservation:
    """A reservation for a service key at an address, where the pool does not see it."""
    reservation = Reservation(address, service(1, key >> 16, key & 0xFFFF), Group("203.0.113.1"))
    address.reservations[key] = reservation
    return reservation


class PoolTests(SynchronousTestCase):
    """Which address is lent next."""

    def setUp(self) -> None:
        self.pool = Pool([ip_network("192.0.2.0/30")])
        self.all = list(self.pool.addresses.values())

    def test_all_addresses_of_a_prefix_are_lent(self) -> None:
        """The first and the last address of a prefix are in the pool too."""
        self.assertEqual([address.packed[3] for address in self.all], [0, 1, 2, 3])

    def test_prefixes_of_both_families_make_a_pool(self) -> None:
        """An IPv6 prefix gives packed addresses of 16 octets."""
        pool = Pool([ip_network("192.0.2.0/31"), ip_network("2001:db8::/127")])
        self.assertEqual([len(packed) for packed in pool.addresses], [4, 4, 16, 16])

    def test_free_addresses_are_lent_in_the_order_of_release(self) -> None:
        """The address that was released longest ago comes first."""
        for address in (self.all[0], self.all[1]):
            self.pool.await_client(address)
        for address in (self.all[1], self.all[0]):
            self.pool.linger(address)
            self.pool.free(address)
        order = []
        while (free := self.pool.next()) is not None:
            self.pool.await_client(free)
            order.append(free.packed[3])
        self.assertEqual(order, [2, 3, 1, 0])

    def test_a_lingering_address_is_lent_when_none_is_free(self) -> None:
        """The one that lingers longest comes first, after all that are free."""
        for address in self.all:
            self.pool.await_client(address)
        for number in (2, 1):
            self.pool.linger(self.all[number])
        self.assertIs(self.pool.next(), self.all[2])

    def test_a_waiting_address_is_not_lent(self) -> None:
        """With somebody expected at each address there is no next one."""
        for address in self.all:
            self.pool.await_client(address)
        self.assertIsNone(self.pool.next())
        self.assertFalse(self.pool.available)

    def test_load_counts_only_those_where_somebody_is_expected(self) -> None:
        """A lingering address does not count as load: it can be had."""
        self.pool.await_client(self.all[0])
        self.pool.await_client(self.all[1])
        self.pool.linger(self.all[0])
        self.assertEqual(self.pool.load, 0.25)

    def test_a_pool_of_nothing_is_full(self) -> None:
        """The load of an empty pool is 1."""
        self.assertEqual(Pool([]).load, 1.0)

    def test_no_other_transition_is_possible(self) -> None:
        """A move that the table does not have is our own fault, and said so."""
        with self.assertRaises(RealmGatewayError):
            self.pool.free(self.all[0])

    def test_the_table_has_four_transitions(self) -> None:
        """FREE to WAITING, WAITING to LINGERING, LINGERING to both others; nothing else."""
        moves = {(one, other) for one in State for other in State if TRANSITIONS[one][other]}
        self.assertEqual(
            moves,
            {
                (State.FREE, State.WAITING),
                (State.WAITING, State.LINGERING),
                (State.LINGERING, State.WAITING),
                (State.LINGERING, State.FREE),
            },
        )


class OverlapTests(SynchronousTestCase):
    """The overloading rule."""

    @given(KEYS, KEYS)
    def test_two_services_overlap_when_they_have_a_packet_in_common(self, one: int, other: int) -> None:
        """Whether two keys overlap is whether any (protocol, port) belongs to both."""

        def packets(key: int) -> set[tuple[int, int]]:
            protocols = {key >> 16} if key >> 16 else set(range(1, 5))
            ports = {key & 0xFFFF} if key & 0xFFFF else set(range(1, 5))
            return {(protocol, port) for protocol in protocols for port in ports}

        self.assertEqual(overlap(one, other), bool(packets(one) & packets(other)))

    @given(KEYS, st.sets(KEYS, max_size=4))
    def test_a_service_fits_where_nothing_overlaps(self, key: int, present: set[int]) -> None:
        """The quick look-ups for a full service say the same as a comparison with all that stand there."""
        address = Address(b"\xc0\x00\x02\x01")
        for other in present:
            stand(address, other)
        self.assertEqual(fits(address, key), not any(overlap(key, other) for other in present))

    def test_any_protocol_of_a_port_overlaps_with_any_port_of_a_protocol(self) -> None:
        """(0, 80) and (6, 0) have TCP port 80 in common."""
        self.assertTrue(overlap(80, 6 << 16))

    def test_a_partial_service_does_not_search_a_crowded_address(self) -> None:
        """An address with very many services is passed over by a service for any port or protocol."""
        address = Address(b"\xc0\x00\x02\x01")
        for port in range(1, PARTIAL_PROBE + 1):
            stand(address, 6 << 16 | port)
        self.assertTrue(fits(address, 17 << 16))
        stand(address, 6 << 16 | 1000)
        self.assertFalse(fits(address, 17 << 16))


class ShareableTests(SynchronousTestCase):
    """Where a service finds room beside others."""

    def setUp(self) -> None:
        self.pool = Pool([ip_network("192.0.2.0/24")])
        self.all = list(self.pool.addresses.values())

    def place(self, number: int, key: int) -> Reservation:
        """Put a service at an address."""
        reservation = Reservation(self.all[number], service(1, key >> 16, key & 0xFFFF), Group("203.0.113.1"))
        self.pool.place(reservation, key)
        return reservation

    def test_a_whole_address_is_never_shared(self) -> None:
        """Neither a 0/0 service finds room beside others, nor others beside it."""
        self.place(0, 0)
        self.place(1, 6 << 16 | 80)
        self.assertIsNone(self.pool.shareable(0))
        self.assertIs(self.pool.shareable(6 << 16 | 443), self.all[1])

    def test_an_address_is_shareable_until_its_last_service_goes(self) -> None:
        """An address without services is not one in use."""
        one, other = self.place(0, 6 << 16 | 80), self.place(0, 6 << 16 | 443)
        self.pool.remove(one, 6 << 16 | 80)
        self.assertIs(self.pool.shareable(6 << 16 | 80), self.all[0])
        self.pool.remove(other, 6 << 16 | 443)
        self.assertIsNone(self.pool.shareable(6 << 16 | 80))

    def test_the_search_is_bounded(self) -> None:
        """Only the addresses opened last are looked at."""
        self.place(0, 6 << 16 | 80)
        for number in range(1, 200):
            self.place(number, 6 << 16 | 443)
        self.assertIsNone(self.pool.shareable(6 << 16 | 443))
