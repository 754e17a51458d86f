"""The control protocol in octets: published vectors, every value there and back, streams cut anywhere, bad input."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError
from realmgw.synproxy.codec import (
    ANY_ADDRESS,
    ANY_ADDRESS6,
    TCP,
    Fault,
    Key,
    Operation,
    ProtocolError,
    Request,
    RequestReader,
    ResponseReader,
    TcpOptions,
    decode,
    encode,
    response,
)

ADDRESS = ip_address("192.0.2.1").packed
ADDRESS6 = ip_address("2001:db8::1").packed
FULL = TcpOptions(1460, True, 7)
PLAIN = TcpOptions(536, False, 1)
VECTORS = (
    ("00000000 0000 00 01 0000 00 00", Request(Operation.FLUSH, Key(ANY_ADDRESS))),
    ("c0000201 0000 00 01 0000 00 00", Request(Operation.FLUSH, Key(ADDRESS))),
    ("00000000 0000 00 04 0218 00 01", Request(Operation.MOD, Key(ANY_ADDRESS), PLAIN)),
    ("c0000201 0000 00 04 05b4 01 07", Request(Operation.MOD, Key(ADDRESS), FULL)),
    ("c0000201 0050 06 02 05b4 01 07", Request(Operation.ADD, Key(ADDRESS, 80, TCP), FULL)),
    ("c0000201 0050 06 08 0000 00 00", Request(Operation.DEL, Key(ADDRESS, 80, TCP))),
    ("00000000 0000 00 84 0218 00 01" + "00" * 16, Request(Operation.MOD, Key(ANY_ADDRESS6), PLAIN)),
    (
        "00000000 01bb 06 84 05a0 01 0e 20010db8000000000000000000000001",
        Request(Operation.MOD, Key(ADDRESS6, 443, TCP), TcpOptions(1440, True, 14)),
    ),
    (
        "00000000 01bb 06 88 0000 00 00 20010db8000000000000000000000001",
        Request(Operation.DEL, Key(ADDRESS6, 443, TCP)),
    ),
    ("00000000 0000 00 81 0000 00 00 20010db8000000000000000000000001", Request(Operation.FLUSH, Key(ADDRESS6))),
)
BAD = (
    ("c0000201 0050 06 00 05b4 01 07", Fault.OPERATION),
    ("c0000201 0050 06 03 05b4 01 07", Fault.OPERATION),
    ("c0000201 0050 06 44 05b4 01 07", Fault.OPERATION),
    ("c0000201 0050 06 ff 05b4 01 07" + "00" * 16, Fault.ADDRESS),
    ("00000000 0050 06 ff 05b4 01 07" + "00" * 16, Fault.OPERATION),
    ("c0000201 0050 06 04 0000 01 07", Fault.MSS),
    ("c0000201 0050 06 04 05b4 02 07", Fault.SACK),
    ("c0000201 0050 06 04 05b4 01 0f", Fault.WINDOW_SCALE),
    ("c0000201 0050 06 08 05b4 00 00", Fault.OPTIONS),
    ("c0000201 0050 06 08 0000 01 00", Fault.OPTIONS),
    ("c0000201 0000 00 01 0000 00 07", Fault.OPTIONS),
    ("c0000201 0050 00 01 0000 00 00", Fault.KEY),
    ("c0000201 0000 06 01 0000 00 00", Fault.KEY),
    ("c0000201 0050 06 84 05b4 01 07", Fault.LENGTH),
    ("c0000201 0050 06 04 05b4 01 07 00", Fault.LENGTH),
    ("c0000201 0050 06 04 05b4 01", Fault.LENGTH),
    ("", Fault.LENGTH),
)

_keys = st.builds(
    Key, st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.integers(0, 65535),
    st.integers(0, 255),
)  # fmt: skip
_options = st.builds(TcpOptions, st.integers(1, 65535), st.booleans(), st.integers(0, 14))
requests = (
    st.builds(Request, st.sampled_from((Operation.ADD, Operation.MOD)), _keys, _options)
    | st.builds(Request, st.just(Operation.DEL), _keys)
    | st.builds(Request, st.just(Operation.FLUSH), _keys.map(lambda key: Key(key.address)))
)


def all_of(reader: RequestReader) -> list[Request | Fault]:
    """What a reader has; a fault in the place of each request that is none."""
    found: list[Request | Fault] = []
    while True:
        try:
            request = reader.next()
        except ProtocolError as error:
            found.append(error.fault)
            continue
        if request is None:
            return found
        found.append(request)


class RequestTests(SynchronousTestCase):
    """Single requests."""

    def test_has_the_published_form(self) -> None:
        """In hex, as on the wire."""
        for octets, request in VECTORS:
            self.assertEqual(encode(request).hex(), octets.replace(" ", ""))
            self.assertEqual(decode(bytes.fromhex(octets)), request)

    @given(requests)
    def test_is_the_same_there_and_back(self, request: Request) -> None:
        """Each that the protocol has."""
        self.assertEqual(decode(encode(request)), request)

    def test_says_what_is_wrong(self) -> None:
        """One error for all, with the fault and a sentence."""
        for octets, fault in BAD:
            error = self.assertRaises(ProtocolError, decode, bytes.fromhex(octets))
            self.assertEqual((error.fault, str(error)), (fault, fault.value), octets)
            self.assertIsInstance(error, MalformedError)

    def test_cannot_be_made_wrong(self) -> None:
        """Whoever tries is told as one who sends it."""
        key = Key(ADDRESS, 80, TCP)
        for request, fault in (
            (Request(Operation.MOD, Key(b"abc"), FULL), Fault.LENGTH),
            (Request(Operation.MOD, Key(ADDRESS, 65536), FULL), Fault.PORT),
            (Request(Operation.MOD, Key(ADDRESS, 80, 256), FULL), Fault.PROTOCOL),
            (Request(Operation.MOD, key), Fault.MSS),
            (Request(Operation.ADD, key, attrs.evolve(FULL, mss=0)), Fault.MSS),
            (Request(Operation.ADD, key, attrs.evolve(FULL, mss=65536)), Fault.MSS),
            (Request(Operation.MOD, key, attrs.evolve(FULL, window_scale=15)), Fault.WINDOW_SCALE),
            (Request(Operation.DEL, key, FULL), Fault.OPTIONS),
            (Request(Operation.FLUSH, key), Fault.KEY),
        ):
            self.assertEqual(self.assertRaises(ProtocolError, encode, request).fault, fault)

    @given(st.binary(max_size=40))
    def test_raises_nothing_else(self, octets: bytes) -> None:
        """Whatever comes; and what is read is written the same."""
        try:
            request = decode(octets)
        except ProtocolError:
            return
        self.assertEqual(encode(request), octets)

    def test_is_told_in_words(self) -> None:
        """For people."""
        self.assertEqual(str(Key(ADDRESS, 80, TCP)), "192.0.2.1 tcp 80")
        self.assertEqual(str(Key(ANY_ADDRESS6)), ":: any any")
        self.assertEqual(str(FULL), "mss 1460, sack, window scale 7")
        self.assertEqual(str(PLAIN), "mss 536, no sack, window scale 1")


class RequestReaderTests(SynchronousTestCase):
    """Requests out of a stream."""

    @given(st.lists(requests, max_size=6), st.integers(1, 40))
    def test_gives_the_same_however_the_stream_was_cut(self, sent: list[Request], size: int) -> None:
        """In one piece, octet by octet, or so many at once."""
        stream = b"".join(map(encode, sent))
        reader, found = RequestReader(), list[Request | Fault]()
        for begin in range(0, len(stream), size):
            reader.receive(stream[begin : begin + size])
            found += all_of(reader)
        self.assertEqual(found, sent)
        self.assertEqual(reader.pending, 0)

    def test_goes_on_behind_one_that_is_refused(self) -> None:
        """Its length is known whatever it says."""
        reader, good = RequestReader(), VECTORS[4][1]
        whole = [(octets, fault) for octets, fault in BAD if fault is not Fault.LENGTH]
        for octets, _ in whole:
            reader.receive(bytes.fromhex(octets) + encode(good))
        self.assertEqual(all_of(reader), [each for _, fault in whole for each in (fault, good)])

    def test_waits_for_what_is_missing(self) -> None:
        """And says how much there is: half a request, or the bit of IPv6 with too little behind it."""
        octets, request = bytes.fromhex(VECTORS[7][0]), VECTORS[7][1]
        for length in range(len(octets)):
            reader = RequestReader()
            reader.receive(octets[:length])
            self.assertIsNone(reader.next())
            self.assertEqual(reader.pending, length)
            reader.receive(octets[length:])
            self.assertEqual(reader.next(), request)


class ResponseReaderTests(SynchronousTestCase):
    """Responses out of a stream."""

    @given(st.lists(st.booleans(), max_size=20), st.integers(1, 7))
    def test_gives_the_same_however_the_stream_was_cut(self, sent: list[bool], size: int) -> None:
        """Coalesced or split."""
        stream = b"".join(map(response, sent))
        reader, found = ResponseReader(), list[bool]()
        for begin in range(0, len(stream), size):
            found += reader.receive(stream[begin : begin + size])
        self.assertEqual(found, sent)

    def test_has_the_published_form(self) -> None:
        """Two octets each."""
        self.assertEqual((response(True), response(False)), (b"1\n", b"0\n"))
        self.assertEqual(ResponseReader().receive(b"1\n0\n1\n"), [True, False, True])

    def test_refuses_everything_else(self) -> None:
        """At once, not only when a line ends: nobody fills our memory."""
        for octets in (b"2\n", b"\n", b"1\r\n", b"11\n", b"1\n\n", b"x", b"10", b"HTTP/1.1 400", b"1\n1\n00"):
            error = self.assertRaises(ProtocolError, ResponseReader().receive, octets)
            self.assertEqual(error.fault, Fault.ANSWER, octets)
