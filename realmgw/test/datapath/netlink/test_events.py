"""Tests of what is heard of the kernel's events."""

from __future__ import annotations

import struct
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec, events
from realmgw.datapath.netlink.events import Transactions
from realmgw.datapath.netlink.nftables import INET, IPV4
from realmgw.errors import RealmGatewayError

NEWTABLE, NEWGEN, NEWSETELEM, DELRULE = (10 << 8 | kind for kind in (0, 15, 12, 8))
NEWLINK, NEWADDR, NEWROUTE, DELROUTE = 16, 20, 24, 25


def event(kind: int, family: int, *attributes: bytes, port: int = 99) -> bytes:
    """A message as the kernel sends it when something was changed by way of a port."""
    body = struct.pack("!BBH", family, 0, 0) + b"".join(attributes)
    whole = bytearray(codec.message(kind, 0, 1, body))
    struct.pack_into("=I", whole, 12, port)
    return bytes(whole)


def naming(table: str, other: str = "") -> tuple[bytes, ...]:
    """The attributes that name a table, and what it is of it."""
    return tuple(codec.attribute(kind, name.encode() + b"\0") for kind, name in ((1, table), (2, other)) if name)


def end(generation: int, port: int = 99) -> bytes:
    """The end of a transaction, by nft."""
    numbers = (codec.attribute(kind, struct.pack("!I", number)) for kind, number in ((1, generation), (2, 4321)))
    return event(NEWGEN, 0, *numbers, codec.attribute(3, b"nft\0"), port=port)


def route(kind: int, length: int, protocol: int, flags: int = 0) -> bytes:
    """A message about a route."""
    return codec.message(kind, flags, 1, struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, protocol, 0, 1, 0))


class TransactionsTests(SynchronousTestCase):
    """`Transactions`."""

    def setUp(self) -> None:
        """Nothing was received yet."""
        self.transactions = Transactions(("strays",))

    def tables(self, *parts: bytes) -> object:
        """Which tables one transaction has changed."""
        [committed] = self.transactions.take(b"".join((*parts, end(7))))
        return committed.tables

    def test_says_who_has_made_it(self) -> None:
        """Program, process, port and generation are in the message at its end."""
        [committed] = self.transactions.take(end(7))
        self.assertEqual((committed.generation, committed.port, str(committed)), (7, 99, "nft (process 4321)"))

    def test_says_which_tables_it_has_changed(self) -> None:
        """Of whatever in them, over several reads; the next transaction begins with none."""
        first = event(DELRULE, INET, *naming("realmgw", "settle"))
        self.assertEqual(list(self.transactions.take(first)), [])
        self.assertEqual(self.tables(event(NEWTABLE, IPV4, *naming("mangle"))), {(INET, "realmgw"), (IPV4, "mangle")})
        self.assertEqual(self.tables(), frozenset())

    def test_elements_of_free_sets_are_nobodys_business(self) -> None:
        """Those of others are."""
        self.assertEqual(self.tables(event(NEWSETELEM, INET, *naming("realmgw", "strays"))), frozenset())
        self.assertEqual(self.tables(event(NEWSETELEM, INET, *naming("realmgw", "hosts"))), {(INET, "realmgw")})

    def test_message_that_is_cut_off_is_told(self) -> None:
        """Then everything has to be looked at."""
        self.assertRaises(RealmGatewayError, list, self.transactions.take(end(7)[:-4]))

    @given(st.binary(max_size=200))
    def test_garbage_raises_nothing_else(self, garbage: bytes) -> None:
        """Whatever comes."""
        try:
            list(Transactions().take(garbage))
        except RealmGatewayError:
            return


class ConcernsUsTests(SynchronousTestCase):
    """`concerns_us`."""

    def test_links_addresses_and_switches_do(self) -> None:
        """Any of them: there are few, and they are seldom."""
        for kind in (NEWLINK, NEWADDR, 80):
            self.assertTrue(events.concerns_us(codec.message(kind, 0, 1, bytes(16))))

    def test_of_routes_only_ours_and_default_ones_do(self) -> None:
        """And those that took the place of others; a router's million other routes do not."""
        self.assertTrue(events.concerns_us(route(DELROUTE, 28, 82)))
        self.assertTrue(events.concerns_us(route(DELROUTE, 0, 3)))
        self.assertTrue(events.concerns_us(route(NEWROUTE, 28, 3, flags=0x100)))
        self.assertFalse(events.concerns_us(route(NEWROUTE, 24, 12) + route(DELROUTE, 24, 12)))

    @given(st.binary(max_size=200))
    def test_garbage_raises_nothing_else(self, garbage: bytes) -> None:
        """Whatever comes."""
        try:
            events.concerns_us(garbage)
        except RealmGatewayError:
            return


class FilterTests(SynchronousTestCase):
    """Programs for the kernel; `realmgw.test.kernel.test_datapath_listener` runs them there."""

    def run_program(self, program: bytes, message: bytes) -> bool:
        """Whether a message is let through, by the rules of classic BPF."""
        instructions = list(struct.iter_unpack("=HBBI", program))
        at = loaded = 0
        while True:
            code, if_true, if_false, value = instructions[at]
            at += 1
            if code == 0x06:
                return bool(value)
            if code in (0x15, 0x45):
                at += if_true if (loaded == value if code == 0x15 else loaded & value) else if_false
            else:
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                loaded = int.from_bytes(message[value : value + size], "big")

    def test_own_ports_are_filtered_out(self) -> None:
        """Any of them, and nothing else."""
        for ports in ((), (5,), (5, 0xFEDC_BA98, 77), range(1, events.MOST_PORTS + 1)):
            program = events.filter_out(ports)
            for port in (*ports, 300, 301):
                self.assertEqual(self.run_program(program, end(1, port=port)), port not in ports)

    def test_of_links_addresses_and_routes_what_concerns_us_gets_through(self) -> None:
        """By the same rule as in `concerns_us`, whatever a message has."""
        program, kinds = events.of_concern(), (16, 17, 20, 21, NEWROUTE, DELROUTE, 26, 80, NEWROUTE << 8)
        for kind, length, protocol, flags in product(kinds, (0, 1, 24, 82), (3, 82, 186), (0, 1, 0x100, 0x601)):
            message = route(kind, length, protocol, flags)
            self.assertEqual(self.run_program(program, message), events.concerns_us(message), (kind, length, protocol))
