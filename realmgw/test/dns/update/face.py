"""The update face with a book in memory, and dnspython as its client."""

from __future__ import annotations

import struct
from typing import Any, cast

import attrs
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdataclass import ANY
from dns.rdtypes.ANY.TSIG import TSIG
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.addresses import network
from realmgw.config.updates import Algorithm, Grant, UpdateKey, UpdateType
from realmgw.dns.lan import lan_view
from realmgw.dns.port import DnsDatagrams
from realmgw.dns.update.server import UpdateServer
from realmgw.dns.update.updater import Updates
from realmgw.dns.zones import compile_table
from realmgw.subscribers.leases.records import ContradictionError, Record, Transaction
from realmgw.test.dns import realm
from realmgw.test.dns.transports import MemoryDatagramPort

SECRET = bytes(range(32))
DHCP = UpdateKey("dhcp.example.org.", Grant(SECRET))
NARROW = UpdateKey(
    "narrow.example.org.",
    Grant(
        SECRET[::-1], Algorithm.SHA512, ("lan.example.org.", "1.168.192.in-addr.arpa."),
        (UpdateType.A, UpdateType.PTR), (network("192.168.1.0/24"),),
    ),
)  # fmt: skip
KEYS = (DHCP, NARROW)
SENDER = ("192.168.0.53", 5353)
NOW = 1_795_262_400  # seconds since 1970


class MemoryBook:
    """Registrations in memory.

    Attributes:
        there: All records.
        leaving: Names of hosts that are there for a moment only.
        refused: Why everything is refused.
        done: What was changed.
        late: What is under way; None: everything is done at once.
    """

    def __init__(self) -> None:
        """Nothing is registered."""
        self.there: list[Record] = []
        self.leaving: set[str] = set()
        self.refused = ""
        self.done: list[Transaction] = []
        self.late: list[tuple[Transaction, Deferred[None]]] | None = None

    def records(self, name: str) -> tuple[Record, ...]:
        """What is registered at a name."""
        return tuple(each for each in self.there if each.name == name)

    def is_leaving(self, name: str) -> bool:
        """Whether it is one of those."""
        return name in self.leaving

    def change(self, transaction: Transaction) -> Deferred[None]:
        """Does it, unless everything is refused."""
        if self.refused:
            return fail(ContradictionError(self.refused))
        if self.late is not None:
            self.late.append((transaction, Deferred()))
            return self.late[-1][1]
        self.finish(transaction)
        return succeed(None)

    def finish(self, transaction: Transaction) -> None:
        """It is done."""
        self.done.append(transaction)
        fresh = {(each.name, each.type, each.data) for each in transaction.added}
        gone = {(each.name, each.type, each.data) for each in transaction.removed}
        kept = [each for each in self.there if (each.name, each.type, each.data) not in fresh | gone]
        self.there = [*kept, *transaction.added]


def its(key: UpdateKey) -> dns.tsig.Key:
    """A key as dnspython has it."""
    return dns.tsig.Key(key.name, key.grant.secret, f"{key.grant.algorithm.value}.")


def update(zone: str = "example.org.") -> dns.update.UpdateMessage:
    """An update of which nothing was said yet."""
    return dns.update.UpdateMessage(zone)


@attrs.frozen
class Sent:
    """A message as it goes."""

    octets: bytes
    """It."""
    key: UpdateKey | None = None
    """What it was signed with."""
    mac: bytes = b""
    """Its signature."""


def wire_name(name: str) -> bytes:
    """A name as it goes."""
    return dns.name.from_text(name).to_wire() or b""


def record_of(answer: dns.message.Message) -> Any:
    """The TSIG record of a message that has one."""
    assert answer.tsig is not None
    return answer.tsig[0]


def rcode_of(octets: bytes) -> str:
    """The RCODE of a message, in words."""
    return dns.rcode.Rcode(octets[3] & 0xF).name


def signed(message: dns.message.Message, key: UpdateKey = DHCP, at: int = NOW, **how: Any) -> Sent:
    """A message that dnspython signs: `fudge` in seconds, `size` in octets, `name` in place of the key's own."""
    octets = message.to_wire(max_size=65535)
    made = its(key)
    plain = TSIG(ANY, dns.rdatatype.TSIG, made.algorithm, at, how.get("fudge", 300), b"", message.id, 0, b"")
    record, _ = dns.tsig.sign(octets, made, plain, at)
    mac = record.mac[: how.get("size")]
    data = bytes(record.replace(mac=mac).to_wire() or b"")
    name = wire_name(how.get("name", key.name))
    count = int.from_bytes(octets[10:12], "big") + 1
    head = octets[:10] + count.to_bytes(2, "big") + octets[12:]
    return Sent(head + name + struct.pack("!HHIH", 250, 255, 0, len(data)) + data, key, mac)


def read_answer(octets: bytes, sent: Sent, now: int) -> dns.message.Message:
    """An answer, whose signature must be right if there is one."""
    answer = dns.message.from_wire(octets, keyring=False)
    if answer.had_tsig and record_of(answer).mac:
        assert sent.key is not None
        made, record = its(sent.key), record_of(answer)
        start = octets.rindex(wire_name(sent.key.name) + b"\0\xfa\0\xff")
        if not record.error:
            dns.tsig.validate(octets, made, made.name, record, now, sent.mac, start)
        plain = octets[:10] + (int.from_bytes(octets[10:12], "big") - 1).to_bytes(2, "big") + octets[12:start]
        right, _ = dns.tsig.sign(plain, made, record, record.time_signed, sent.mac)
        assert right.mac == record.mac
    return answer


class FaceTestCase(SynchronousTestCase):
    """An update face, with two keys.

    Attributes:
        rules: What the configuration says of it.
        wall: The clock of the wall, in seconds since 1970.
    """

    rules = settings.UpdateView(listen=(settings.Endpoint(realm.GATEWAY, 53),))

    def setUp(self) -> None:
        """Nothing is registered, and nobody has sent anything."""
        self.clock, self.book, self.wall = Clock(), MemoryBook(), float(NOW)
        self.updates = Updates(self.clock, self.clock.seconds, lambda: self.wall)
        self.updates.book = self.book
        self.configure(self.rules)
        view = lan_view(self.settings, self.table)
        self.server = UpdateServer(self.updates, view, self.rules, self.clock, self.clock.seconds)
        self.protocol, self.port = DnsDatagrams(self.server, self.clock), MemoryDatagramPort()
        self.protocol.makeConnection(cast(IUDPTransport, self.port))
        self.events = self.updates.counts.events

    def configure(self, rules: settings.UpdateView, keys: tuple[UpdateKey, ...] = KEYS) -> None:
        """From now on these rules hold."""
        zones = (*realm.ZONES, realm.ALIASES)
        self.settings = realm.make_settings(update=rules, zones=zones)
        self.table = compile_table(zones, realm.directory())
        self.updates.configure(self.settings, self.table, keys)

    def send(self, octets: bytes, sender: tuple[Any, ...] = SENDER) -> list[bytes]:
        """A message comes by UDP; the answers that it gets at once."""
        before = len(self.port.sent)
        self.protocol.datagramReceived(octets, sender)
        return [each for each, _ in self.port.sent[before:]]

    def answer(self, sent: Sent | dns.message.Message) -> dns.message.Message:
        """The only answer to a message, which is signed if not told otherwise."""
        sent = signed(sent, at=int(self.wall)) if isinstance(sent, dns.message.Message) else sent
        (octets,) = self.send(sent.octets)
        return read_answer(octets, sent, int(self.wall))

    def ask(self, sent: Sent | dns.message.Message) -> str:
        """The RCODE of that."""
        return dns.rcode.to_text(self.answer(sent).rcode())

    def said(self) -> list[str]:
        """All that is registered, in words."""
        return sorted(f"{each.name} {each.type} {each.ttl} {each.data.hex()}" for each in self.book.there)
