"""Whatever strangers send, to read it takes a time that grows as its length does: every parser that they reach.

Each gets the same piece again and again, at two lengths. One that goes back over what it has read, or makes something
of each piece that has to be gone through for the next, takes sixteen times as long for four times as much.
"""

from __future__ import annotations

import json
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel
from twisted.web.server import Site

from realmgw import config
from realmgw.admission import packet
from realmgw.config import addresses, names, pointers
from realmgw.control.commands import COMMANDS, checked
from realmgw.control.server import Commands
from realmgw.dns.codec import names as wire_names
from realmgw.dns.codec import options, wire
from realmgw.errors import MalformedError
from realmgw.repository.conditions import tags
from realmgw.repository.merge import merged
from realmgw.repository.port import RepositorySite
from realmgw.repository.server import root
from realmgw.repository.tokens import Tokens
from realmgw.subscribers import exchange
from realmgw.subscribers.exchange import Kind
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.fastpath.fields import FIELD
from realmgw.subscribers.remote.state import RemoteState

SHORT, LONG = 2**13, 2**15  # octets
MOST_TIMES = 10
"""So much longer the long one may take than the short one, which is a quarter of it, if it takes more than `CLEAR`."""
CLEAR = 0.03  # seconds of processor time
MOST_TIME = 5.0  # seconds of processor time
TRIES = 6
HEAD = "".join(chr(octet) for octet in range(0x20, 0x7F)) + "\t\0\r\n\x7f\x80\xff"
"""Whatever may divide or escape something."""
NAME = "a.example.org."
PLAIN = {"address": "192.168.0.1"}
ESTABLISHED = {"ID": {"FQDN": [NAME], "IPV4": ["192.168.0.1"]}}

Parser = Callable[[Any], object]


def repeated(piece: str, begin: str = "", end: str = "") -> Callable[[int], str]:
    """A text of a length: a piece again and again."""
    return lambda length: begin + piece * (length // len(piece)) + end


class LinearTestCase(SynchronousTestCase):
    """Measures in processor time of this thread, the best of some: what else the machine does hardly matters."""

    timeout = 600

    def assert_linear(self, parse: Parser, made: Callable[[int], Any], what: str) -> None:
        """Reading is linear, whatever it comes to, within one run: what is not, is not in any of the tries."""
        shorts, longs = list[float](), [self.taken(parse, made(LONG))]
        while min(longs) > max(MOST_TIMES * min(shorts, default=0.0), CLEAR):
            self.assertLess(
                len(shorts), TRIES, f"{what}: {min(shorts or [0]):.4f} s, four times as much {min(longs):.4f} s"
            )
            shorts.append(self.taken(parse, made(SHORT)))
            longs.append(self.taken(parse, made(LONG)))

    def taken(self, parse: Parser, value: Any) -> float:
        """How long something takes; it is broken off when that is far too long."""
        former = signal.signal(signal.SIGVTALRM, _too_long)
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_TIME)
        begin = thread_time()
        try:
            parse(value)
        except TooLongError:
            raise
        except Exception:  # noqa: BLE001 - what is refused is refused, and says so in its own tests
            pass
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, former)
        return thread_time() - begin

    def assert_every_piece_linear(self, parse: Parser, begin: str = "", *pieces: str) -> None:
        """The same for each single character, for pairs of those that divide, and for the pieces."""
        pairs = [one + other for one in ' ,;="\\.:-[1a' for other in ' ,"\\.:1a']
        for piece in (*HEAD, *pairs, *pieces):
            for end in ("", "x"):
                self.assert_linear(parse, repeated(piece, begin, end), f"{begin!r} + {piece!r} * n + {end!r}")


def _sized(made: Callable[[int], object], length: int) -> Callable[[int], object]:
    """What makes so many things as have a length together, when each has that of its own."""
    return lambda whole: made(whole // length)


def _after(begin: bytes, piece: bytes) -> Callable[[int], bytes]:
    return lambda count: begin + piece * count


def _encoding(read: Callable[[bytes], object]) -> Parser:
    return lambda text: read(text.encode())


class TooLongError(Exception):
    """Nobody waits for it any more."""


def _too_long(number: int, frame: object) -> None:
    del number, frame
    raise TooLongError("it takes longer than anybody waits")


class MainFileTests(LinearTestCase):
    """What an operator writes: a gateway that runs does nothing else while its parts are compared with each other."""

    def test_prefixes(self) -> None:
        """None may share an address with another: resolvers of groups, and the pool."""
        path = Path(self.mktemp())
        path.mkdir()

        def load(text: str) -> None:
            (path / "realmgw.yaml").write_text(text)
            config.load(path / "realmgw.yaml")

        for begin, entry in (
            ("policy: {groups: [", "{nodes: [10.%d.%d.0/24]}"),
            ("pools: {circular: [", "{addresses: 198.%d.%d.1, attachment: routed}"),
        ):
            entries = [entry % (number // 250, number % 250) for number in range(LONG // 20)]
            self.assert_linear(load, lambda length: f"{begin}{', '.join(entries[: length // 20])}]}}\n", begin)  # noqa: B023 - called at once


class PieceTests(LinearTestCase):
    """Pieces of subscriber files: a gateway that runs splits them into fields between packets."""

    def test_words_that_are_no_fields(self) -> None:
        """Without digits or dots, of any length: in values, in keys and in comments."""
        for begin in ("", "h1.example.org: {address: 192.168.0.1} # "):
            for parse in (FIELD.split, _encoding(ByShapeReader().read)):
                for piece in ("a", "a-", "-a_", "a -", "a:", "a:-", "1:a-", "a.-"):
                    self.assert_linear(parse, repeated(piece, begin, "\n"), f"{begin!r} + {piece!r} * n")


class HeaderTests(LinearTestCase):
    """Fields of requests to the repository."""

    def test_entity_tags(self) -> None:
        """Of If-Match and If-None-Match."""
        pieces = ('"a"', '"a",', '"a", ', "W/", 'W/"a"', ", ", '"a" , ')
        for begin in ("", '"a"', 'W/"a", ', '"'):
            self.assert_every_piece_linear(tags, begin, *pieces)

    def test_tokens(self) -> None:
        """Of Authorization."""
        tokens = Tokens("a-token-that-may-write", "a-token-that-may-read")
        for begin in ("", "Bearer ", "Bearer"):
            self.assert_every_piece_linear(tokens.access, begin)


class RequestTests(LinearTestCase):
    """Whole requests, as they come from the network."""

    def site(self) -> RepositorySite:
        """A site without a database: what asks for one has been read by then."""
        site = RepositorySite(root(cast(Any, _NoDocuments())), Tokens(), Clock())
        site.log = lambda _request: None  # type: ignore[method-assign,assignment]
        return site

    def feed(self, made: Site) -> Parser:
        """What reads a request."""

        def parse(text: str) -> None:
            channel = cast(HTTPChannel, made.buildProtocol(None))
            channel.makeConnection(StringTransport())
            octets = text.encode("latin-1")
            for at in range(0, len(octets), 2**16):
                channel.dataReceived(octets[at : at + 2**16])
            channel.connectionLost(Failure(ConnectionError()))

        return parse

    def test_heads(self) -> None:
        """Of the repository and of the control socket: lines, fields, continued fields, query and path."""
        commands = Commands(cast(Any, None), cast(Any, None))
        for site in (self.site(), Site(commands)):
            parse = self.feed(site)
            for begin, piece in (
                ("", "GET "),
                ("", "\r\n"),
                ("GET /", "/"),
                ("GET /?", "a=b&"),
                ("GET /v1/export?", "%41"),
                ("GET /v1/subscribers/", "a."),
                ("GET / HTTP/1.1\r\n", "a: b\r\n"),
                ("GET / HTTP/1.1\r\na: b\r\n", " c\r\n"),
                ("GET / HTTP/1.1\r\nHost: ", "x"),
                ("GET /v1/export HTTP/1.1\r\nIf-None-Match: ", '"a", '),
                ("GET /v1/export HTTP/1.1\r\nIf-None-Match: *\r\nPrefer: ", "wait="),
                ("GET /v1/export HTTP/1.1\r\nIf-None-Match: *\r\nPrefer: ", "wait , "),
                ("GET / HTTP/1.1\r\nConnection: ", "a "),
            ):
                for end in ("", " HTTP/1.1\r\n\r\n", "\r\n\r\n"):
                    self.assert_linear(parse, repeated(piece, begin, end), f"{begin!r} + {piece!r} * n + {end!r}")
        self.flushLoggedErrors(AttributeError, ValueError)  # there is neither a gateway nor a database

    def test_bodies(self) -> None:
        """Chunks, forms of two kinds, which nobody asked for, and JSON."""
        parse = self.feed(self.site())
        lines = "POST /v1/import HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
        form = "application/x-www-form-urlencoded"
        for media, piece in (
            (form, "1\r\na\r\n"),
            (form, "4\r\na=b&\r\n"),
            (form, "3\r\n%41\r\n"),
            ("multipart/form-data; boundary=b", "8\r\n\r\n--b\r\n\n\r\n"),
            ("multipart/form-data; boundary=" + "b" * 1000, "4\r\nb--b\r\n"),
            ("application/jsonl", "1\r\n{\r\n"),
            ("application/jsonl", "3;e=f\r\n{}\n\r\n"),
        ):
            made = repeated(piece, lines.format(media), "0\r\n\r\n")
            self.assert_linear(parse, made, f"{media[:40]}, {piece!r}")
        self.flushLoggedErrors(ValueError)  # there is no database

    def test_endless_heads_are_refused_at_once(self) -> None:
        """Of a megabyte no more is read than any head may have."""
        for piece in ("a", "a: b\r\n", " ", "\r\n", "GET / HTTP/1.1\r\n"):
            octets, transport = repeated(piece, "GET / HTTP/1.1\r\na: ")(2**20).encode(), StringTransport()
            channel = cast(HTTPChannel, self.site().buildProtocol(None))
            channel.makeConnection(transport)
            portions = (octets[at : at + 4096] for at in range(0, 2**15, 4096))
            for portion in portions:
                if not transport.disconnecting:
                    channel.dataReceived(portion)
            self.assertTrue(transport.disconnecting, piece)
            channel.connectionLost(Failure(ConnectionError()))


class _NoDocuments:
    """A database that is not there."""

    version = "1-x"
    identity = "x"

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)


class JsonTests(LinearTestCase):
    """JSON values: documents, patches, lines, and what repositories say."""

    def test_texts(self) -> None:
        """Of every shape, good and bad; strings, numbers, nesting, members that stand twice."""
        for begin in ("", '"', "[", "{", '{"a":', '{"kind":"subscribers","name":"', "1", "-1.", "1e"):
            pieces = ('"a":1,', '"a",', "[]", "[],", "{},", "\\u0041", "\\ud800", "true,", "1.", "[[", '{"a":')
            self.assert_every_piece_linear(pointers.decode, begin, *pieces)

    def test_lines(self) -> None:
        """Heads, documents, names, problem documents."""
        for piece in ("a.", "a-", ".", "-", "_", "é", "\\u0041", " "):
            for begin, end in (
                ('{"kind":"subscribers","name":"', '","value":1}'),
                ('{"kind":"policies","name":"', '","value":{}}'),
                ('{"format":1,"version":"', '","since":null,"count":0}'),
                ('{"detail":"', '"}'),
            ):
                made = repeated(piece, begin, end)
                readers: tuple[Callable[[bytes], object], ...] = (exchange.document, exchange.head, exchange.said)
                for read in readers:
                    self.assert_linear(_encoding(read), made, f"{begin!r} {piece!r}")

    def test_deep_nesting_is_refused(self) -> None:
        """A hundred thousand deep, wherever JSON is read, and nothing runs out of its stack."""
        for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000):
            self.assertRaises(MalformedError, pointers.decode, text)
        for depth in (17, 100, 900):
            value = json.loads('{"a":' * depth + "1" + "}" * depth)
            self.assertRaises(MalformedError, merged, {}, value)
            self.assertIsNone(exchange.subscriber(NAME, value)[0])
            self.assertTrue(exchange.subscriber(NAME, {**PLAIN, "services": value})[1])
            self.assertTrue(exchange.policy(value))
            self.assertTrue(exchange.policy({"load": value}))

    def test_documents(self) -> None:
        """With as many members as there is room for, good ones and bad ones: each fault is told with its place."""
        firewall: Any = {
            "priority": 1,
            "direction": "EGRESS",
            "target": "ACCEPT",
            "protocol": 6,
            "multiport": {"dports": "1"},
        }
        cases: dict[str, Callable[[int], object]] = {
            "services": lambda count: {**PLAIN, "services": {f"s{each}.{NAME}": {"port": 1} for each in range(count)}},
            "bad services": lambda count: {**PLAIN, "services": {f"s{each}": 1 for each in range(count)}},
            "unknown keys": lambda count: {**PLAIN, **{f"k{each}": 1 for each in range(count)}},
            "groups": lambda count: {**PLAIN, "groups": [f"g{each}" for each in range(count)]},
            "bad groups": lambda count: {**PLAIN, "groups": [[]] * count},
            "addresses": lambda count: {"address": "1." * 8 * count},
            "numbers": lambda count: {**PLAIN, "max_claims": "1" * 16 * count},
            "names": lambda count: {"ID": {"FQDN": [f"a{each}.{NAME}" for each in range(count)], "IPV4": ["10.0.0.1"]}},
            "SFQDN": lambda count: {**ESTABLISHED, "SFQDN": [{"fqdn": f"s{each}.{NAME}"} for each in range(count)]},
            "bad SFQDN": lambda count: {**ESTABLISHED, "SFQDN": [{}] * count},
            "rules": lambda count: {**ESTABLISHED, "FIREWALL": {"FIREWALL_USER": [firewall] * (count // 4)}},
            "bad rules": lambda count: {**ESTABLISHED, "FIREWALL": {"FIREWALL_USER": [{}] * count}},
            "ports": lambda count: {
                **ESTABLISHED,
                "FIREWALL": {"FIREWALL_USER": [{**firewall, "multiport": {"dports": "1," * 8 * count}}]},
            },
        }
        for what, made in cases.items():
            self.assert_linear(lambda value: exchange.subscriber(NAME, value), _sized(made, 16), what)
        self.assert_linear(exchange.policy, lambda length: dict.fromkeys(map(str, range(length // 16)), 1), "policy")
        self.assert_linear(
            lambda patch: merged({}, patch), lambda length: dict.fromkeys(map(str, range(length // 16))), "patch"
        )

    def test_answers_of_repositories(self) -> None:
        """Many documents, that are told to be wrong each by itself, or to look nearly alike."""
        for text in ('{"address": "192.168.0.N"}', '{"address": "N", "services": {"sN.example.org": {}}}', "[N]"):

            def made(length: int, text: str = text) -> list[bytes]:
                count = length // 64
                head = b'{"format":1,"version":"1","since":null,"count":%d}\n' % count
                line = f'{{"kind":"subscribers","name":"hN.example.org","value":{text}}}\n'
                return [head, *(line.replace("N", str(each)).encode() for each in range(count))]

            self.assert_linear(RemoteState("https://db.example.org").amended, made, text)


class WordTests(LinearTestCase):
    """Single words: in documents, and in what is asked at the control socket."""

    def test_names_and_addresses(self) -> None:
        """In every way that they may be written."""
        for parse in (
            names.absolute,
            wire_names.to_wire,
            addresses.address,
            addresses.ipv4,
            addresses.prefixes,
            addresses.endpoint,
            addresses.network,
            addresses.url,
            lambda text: exchange.canonical(Kind.POLICY, text),
            lambda text: exchange.canonical(Kind.SUBSCRIBER, text),
            lambda text: checked(COMMANDS["explain/name"], {"name": text, "resolver": text}),
        ):
            for begin in ("", "a", "\\.", "[", "1.", "http://"):
                self.assert_every_piece_linear(parse, begin, "\\001", "\\.", "a.", "1.", "::", "]:")


class OctetTests(LinearTestCase):
    """Messages and packets, which have at most 65 535 octets."""

    def octets(self, parse: Callable[[bytes], object], begin: bytes, *pieces: bytes) -> None:
        """Each octet, and the pieces, again and again."""
        for piece in (*(bytes([octet]) for octet in range(256)), *pieces):
            self.assert_linear(parse, _sized(_after(begin, piece), len(piece)), f"{piece!r}")

    def test_dns_messages(self) -> None:
        """Questions, records, names of many labels and pointers, options."""
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 0)
        option = struct.pack("!HH", 8, 4) + b"\0\1\0\0"
        for counts in ((1, 0, 0, 0), (1, 0, 0, 1), (0xFFFF, 0, 0, 0), (1, 0xFFFF, 0, 0), (1, 0, 0, 9)):
            header = struct.pack("!HHHHHH", 1, 0, *counts)
            for name in (b"", b"\1a" * 120 + b"\0\0\1\0\1", b"\0\0\1\0\1\0\0\x29\4\xd0\0\0\0\0\xff\0"):
                self.octets(wire.decode, header + name, record, option, b"\1a", b"\xc0\x0c", b"\xc0\x0e")

    def test_options(self) -> None:
        """As many as an OPT record may have."""
        for data in (b"", b"\0\1\x18\0\xc0\0\2", b"x" * 24):
            for code in (3, 8, 10, 12, 15, 65281):
                self.assert_linear(options.read, _sized(((code, data),).__mul__, 8), f"{code} {data!r}")

    def test_packets(self) -> None:
        """Headers of IPv4 and IPv6 with extensions, and of what they carry."""
        ipv4 = struct.pack("!BBHHHBBH4s4s", 0x4F, 0, 0x8000, 0, 0, 64, 6, 0, b"\xc0\0\2\1", b"\xc0\0\2\2")
        for next_header in (0, 6, 17, 43, 44, 51, 58, 60, 132):
            ipv6 = struct.pack("!IHBB16s16s", 6 << 28, 0x7FF0, next_header, 64, b"\x20" * 16, b"\x20" * 16)
            extension = bytes([next_header, 0, 0, 0, 0, 0, 0, 0])
            self.octets(packet.parse, ipv6, extension)
        self.octets(packet.parse, ipv4)
