"""What SYN proxies shall answer with."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import chain

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Settings
from realmgw.subscribers.model import Terms
from realmgw.synproxy.codec import TCP, Operation, Request, TcpOptions, decode, encode
from realmgw.synproxy.table import Options, Place, Table, is6, key_of
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read

FULL = TcpOptions(1460, True, 7)
PLAIN = (None, None, None)
"""Of a service that says nothing."""
ADDRESSES = "198.51.100.0", "198.51.100.1", "192.0.2.80"
POOL, SERVICE, ELSEWHERE = (ip_address(each).packed for each in ("198.51.100.1", "192.0.2.80", "203.0.113.1"))
FRESH = ip_address("2001:db8:1::1").packed
HTTP = TCP << 16 | 80


def lasting(table: Table) -> list[Request]:
    """What is told of entries that are there whatever is reserved."""
    services = (request for packed, request in table.services() if table.takes6 or not is6(packed))
    return [decode(request) for request in chain(table.pool(), services)]


def settings(
    how: str = "",
    pool: str = "198.51.100.0/31",
    service: str = "192.0.2.80",
    ipv6: str = "",
    proxies: str = "203.0.113.9",
) -> Settings:
    """A gateway with two addresses and one for services, unless it has others."""
    piece = f"circular: [{{addresses: '{pool}', attachment: routed}}], service: ['{service}']"
    line = next(each for each in MINIMAL.splitlines() if each.startswith("pools:"))
    text = MINIMAL.replace(line, f"pools: {{{piece}}}")
    return read(f"{text}synproxy: {{proxies: [{proxies}]{how}}}\n{ipv6}")


class TableTests(SynchronousTestCase):
    """Two addresses, and one for services."""

    def setUp(self) -> None:
        """Nothing is reserved."""
        self.table = Table(settings())

    def told(self, place: Place, before: Options | None = None) -> list[tuple[Request, int]]:
        """What is to be said of a place, and of how many more entries."""
        return [(decode(request), more) for request, more in self.table.requests([(place, before)])]

    def wanted(self, place: Place) -> TcpOptions | None:
        """The options of the entry of a reservation at a place; None: none is to be told of."""
        [options] = [request.options for request, _ in self.told(place)] or [None]
        return options

    def test_pool_and_service_addresses_last(self) -> None:
        """With the options of the configuration; nothing else does."""
        there = lasting(self.table)
        self.assertEqual([str(each.key) for each in there], [f"{each} any any" for each in ADDRESSES])
        for each in there:
            self.assertEqual((each.operation, each.options), (Operation.MOD, FULL))
            self.assertEqual(self.table.lasting(each.key.address), encode(each))
        for other in (ELSEWHERE, FRESH, POOL + bytes(12)):
            self.assertIsNone(self.table.lasting(other))
        self.assertEqual([self.told(place) for place in ((POOL, 0), (POOL, HTTP), (FRESH, 0))], [[], [], []])

    def test_what_is_reserved_is_wanted_until_it_ends(self) -> None:
        """By one port of TCP, of every protocol, or all of them."""
        for number, key in enumerate((HTTP, TCP << 16, 80, 0), 1):
            self.assertEqual(self.table.note({(ELSEWHERE, key): Terms()}), {(ELSEWHERE, key): None})
            self.assertEqual((self.wanted((ELSEWHERE, key)), len(self.table)), (FULL, number))
            self.assertEqual(self.told((ELSEWHERE, key), PLAIN), [])
        for key in (HTTP, 0):
            place = ELSEWHERE, key
            self.assertEqual(self.table.note({place: None}), {place: PLAIN})
            self.assertEqual(self.told(place), [])
            self.assertEqual(self.told(place, PLAIN), [(Request(Operation.DEL, key_of(place)), -1)])

    def test_a_whole_address_has_its_lasting_entry_in_place_of_none(self) -> None:
        """Which is told of when another one ends, and not told of when that is the same."""
        place, own = (POOL, 0), (1380, None, None)
        [lasts] = [each for each in lasting(self.table) if each.key.address == POOL]
        self.table.note({place: Terms()})
        self.assertEqual((self.told(place), self.told(place, own)), ([], [(lasts, -1)]))
        self.table.note({place: Terms(tcp_mss=1380)})
        self.assertEqual(self.told(place), [(Request(Operation.MOD, key_of(place), TcpOptions(1380, True, 7)), 1)])
        self.table.note({place: None})
        self.assertEqual((self.told(place, PLAIN), self.told(place, own)), ([], [(lasts, -1)]))

    def test_an_entry_is_told_of_by_the_request_that_makes_it(self) -> None:
        """Of either family."""
        places = [(POOL, HTTP), (FRESH, HTTP), (POOL, 0)]
        self.table.note(dict.fromkeys(places, Terms(tcp_mss=1380)))
        options = TcpOptions(1380, True, 7)
        requests = [Request(Operation.MOD, key_of(place), options) for place in places]
        had = dict.fromkeys(places).items()
        self.assertEqual(list(self.table.requests(had)), [(encode(request), 1) for request in requests])
        had = dict.fromkeys(places, PLAIN).items()
        self.assertEqual([more for _, more in self.table.requests(had)], [0, 0, 1])

    def test_what_has_the_same_options_as_before_is_nothing_new(self) -> None:
        """Whoever the host is; nor is what has come and gone."""
        place = POOL, HTTP
        self.table.note({place: Terms(tcp_mss=1380)})
        for same in (Terms(tcp_mss=1380), Terms(tcp_mss=1380, timeout=9.0)):
            self.assertEqual(self.table.note({place: same, (POOL, 80): None}), {})
        before: Options = 1380, None, None
        for terms, options in (
            (Terms(tcp_mss=1381), (1381, None, None)),
            (Terms(tcp_sack=False), (None, False, None)),
            (Terms(tcp_window_scale=3), (None, None, 3)),
            (Terms(), PLAIN),
        ):
            self.assertEqual(self.table.note({place: terms}), {place: before})
            before = options

    def test_a_service_has_options_of_its_own(self) -> None:
        """What it does not say is that of the configuration, also of one that comes later."""
        self.table.note({(POOL, HTTP): Terms(tcp_mss=1380, tcp_sack=False)})
        self.assertEqual(self.wanted((POOL, HTTP)), TcpOptions(1380, False, 7))
        self.table.note({(POOL, HTTP): Terms(tcp_window_scale=0)})
        self.assertTrue(self.table.configure(settings(", mss: 1400")))
        self.assertEqual(self.wanted((POOL, HTTP)), TcpOptions(1400, True, 0))

    def test_tells_whether_what_lasts_is_different(self) -> None:
        """A reload that changes something else is none of its business."""
        self.assertFalse(self.table.configure(settings(", reconnect: 5")))
        for other in (settings(", sack: false"), settings(pool="198.51.100.0/30"), settings(service="192.0.2.81")):
            self.assertTrue(self.table.configure(other))
            self.assertTrue(self.table.configure(settings()))

    def test_ipv6_is_in_it_where_there_is_some(self) -> None:
        """Unless it is said otherwise."""
        self.assertFalse(self.table.takes6)
        for there in (
            settings(pool="2001:db8:1::/64"), settings(service="2001:db8::80"), settings(", ipv6: true"),
            settings(ipv6="ipv6: {mode: pinhole}\n"),
        ):  # fmt: skip
            self.table.configure(there)
            self.assertTrue(self.table.takes6)
        self.table.configure(settings(", ipv6: false", service="2001:db8::80"))
        self.assertFalse(self.table.takes6)
        self.assertEqual([str(ip_address(each.key.address)) for each in lasting(self.table)], list(ADDRESSES[:2]))
