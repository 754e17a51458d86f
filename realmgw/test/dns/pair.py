"""Gateways that are asked the same, with a fast path, without one, and with an explanation before each answer."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
from hypothesis import strategies as st
from twisted.internet.task import Clock

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.steps import finish
from realmgw.dns.server import ViewServer
from realmgw.dns.view import Asker
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import amending, compile_table, naming
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm

RESOLVERS = ("198.51.100.53", "198.51.100.54", "203.0.113.53", "2001:db8::53", "2001:db8::54", "::ffff:198.51.100.53")
NAMES = (
    "one.example.org.",
    "Two.Example.ORG.",
    "dual.example.org.",
    "Six.example.org.",
    "pin.example.org.",
    "deep.empty.nodes.example.org.",
    "nodes.example.org.",
    "www.two.example.org.",
    "nobody.example.org.",
    "x.y.nobody.child.example.org.",
    "below.ns1.example.org.",
    "below.hostmaster.example.org.",
    "below.xyz.example.org.",
    "below.hostmaestr.example.org.",
    "child.example.org.",
    "ns1.example.org.",
    "example.org.",
    "a.example.org.",
    "x.a.example.org.",
    "1.0.168.192.in-addr.arpa.",
    "example.net.",
    "org.",
    ".",
    f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.org.",
    f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.net.",
)
KINDS = (
    "A",
    "A",
    "A",
    "A",
    "AAAA",
    "AAAA",
    "AAAA",
    "HTTPS",
    "SVCB",
    "ANY",
    "DS",
    "NS",
    "SOA",
    "AXFR",
    "OPT",
    "TYPE97",
    "TYPE128",
)
SWITCHES = ("tcpcname", "tcp", "cname", "adaptive", "log_untrusted")


@attrs.frozen
class Step:
    """One query of a course of them."""

    name: str | None = None
    """What is asked for; None: the alias that was given last."""
    kind: str = "A"
    """Of what type."""
    resolver: str = RESOLVERS[0]
    """From where."""
    tcp: bool = False
    """By TCP."""
    cookie: str = ""
    """Whether there is an OPT record, and what cookie in it."""
    flags: int = dns.flags.RD
    """Of the header."""
    wait: float = 0.0
    """Seconds since the one before."""
    id: int = 7
    """The ID."""
    case: int = 0
    """Which letters of the name are of the other case, as bits: what is known as 0x20."""
    others: tuple[str, ...] = ()
    """Further options of the OPT record, by their names in `OPTIONS`, before or behind the cookie."""
    do: bool = False
    """The DO flag, where there is an OPT record."""
    version: int = 0
    """Of EDNS."""
    cls: str = "IN"
    """Of the question."""
    questions: int = 1
    """How many there are, all alike."""
    opcode: int = 0
    """Of the header."""

    @property
    def usual(self) -> bool:
        """Whether it is one question of those that there are records for, in no new version of anything."""
        return (self.questions, self.cls, self.version, self.opcode) == (1, "IN", 0, 0)


OPTIONS = {
    "subnet": (8, b"\0\1\x18\0\xc6\x33\x64"),
    "subnet of IPv6": (8, b"\0\2\x20\0\x20\x01\x0d\xb8"),
    "no subnet": (8, b"\0\1\0\0"),
    "no family": (8, bytes(4)),
    "bits beyond": (8, b"\0\1\x17\0\xc6\x33\x65"),
    "cut subnet": (8, b"\0\1\x18\0\xc6\x33"),
    "scope": (8, b"\0\1\x18\x18\xc6\x33\x64"),
    "NSID": (3, b""),
    "keepalive": (11, b""),
    "padding": (12, bytes(9)),
    "client": (0xFF01, bytes(9)),
    "identifier": (0xFF02, b"\7\7"),
    "unknown": (0xFDE9, b"whatever"),
    "another cookie": (10, b"87654321"),
    "no cookie": (10, b""),
}
"""Options besides the cookie, by what they are: code and data."""


class Gateway:
    """A WAN's view with everything behind it, by itself."""

    def __init__(self, made: settings.Settings, has_quick: bool) -> None:
        """Nothing was asked."""
        self.now = 100.0
        self.later: list[Any] = []
        self.delivered: list[bytes] = []
        how, pools, chance = settings.Allocation(), [realm.POOL, realm.POOL6], Random(6).randbytes
        self.allocator = Allocator(how, pools, now=self.now, policy=made.policy, chance=chance)
        # A zone's apex without an address can be a service as well.
        self.directory = realm.directory(extra=("child.example.org.",))
        self.settings = made
        self.defences = realm.defences(made, most=4)
        table = compile_table(made.zones, self.directory)
        later = lambda *args: self.later.append(args)  # noqa: E731 - as short as that
        self.wan = wan_view(made, table, self.allocator, self.defences, later, lambda: self.now)
        self._has_quick = has_quick
        self.server = ViewServer(self.wan, settings.DnsView(()), Clock(), lambda: self.now)

    def reload(self, made: settings.Settings, directory: Directory) -> None:
        """What a reload does, in its order."""
        gone = {service.target for service in self.directory.services.values()}
        gone -= {service.target for service in directory.services.values()}
        self.allocator.configure_policy(made.policy, now=self.now)
        self.allocator.forget(gone, now=self.now)
        if made.zones == self.settings.zones:
            names = [name for name in self.directory.services if name not in directory.services]
            changes = finish(naming(self.wan.table, names, directory.services.values(), (), ()))
            for _ in amending(self.wan.table, changes):
                pass
        self.defences.configure(made, (), now=self.now)
        other = made.zones != self.settings.zones
        self.wan.configure(made, compile_table(made.zones, directory) if other else self.wan.table)
        self.settings, self.directory = made, directory

    def pass_time(self, seconds: float) -> None:
        """Claims end, and what was put off is done."""
        self.now += seconds
        later, self.later = self.later, []
        for _, function in later:
            function(self.now)
        self.allocator.expire(now=self.now)

    def ask(self, message: bytes, resolver: str, tcp: bool) -> bytes | None:
        """What is said to a message as a socket does it; empty if nothing is, None if nothing yet."""
        address = (resolver, 5353) if not tcp else (resolver, 5353, 1)
        who = self.wan.senders.who(resolver)
        outcome = self.wan.fast(message, address, who, now=self.now, tcp=tcp) if self._has_quick else None
        if isinstance(outcome, bytes):
            return outcome
        self.sent: list[bytes] = []
        self.waits = False
        self.server.receive(message, self, Asker(address, self.delivered.append, tcp), outcome)  # type: ignore[arg-type]
        return None if self.waits else b"".join(self.sent)

    def send(self, answer: bytes, address: object) -> None:
        """As a socket does."""
        del address
        self.sent.append(answer)

    def expect(self) -> None:
        """An answer will come later."""
        self.waits = True

    def follows_tc(self, resolver: str) -> bool:
        """Whether a resolver comes by TCP when it is told."""
        challenger = self.wan.decisions.challenger
        return challenger is not None and challenger.follows_tc(resolver)

    @property
    def books(self) -> tuple[Any, ...]:
        """What was counted and noted."""
        groups = sorted(
            (str(group.nodes), group.passed, group.proven_at, group.trusted, group.untrusted)
            for group in self.allocator.groups
        )
        return (
            self.delivered,
            self.wan.counts.events,
            self.wan.counts.refused,
            self.wan.counts.types,
            self.allocator.counters.counts(),
            self.allocator.fresh.counts(),
            groups,
        )


class Pair:
    """Both gateways, and what they have said."""

    def __init__(self, made: settings.Settings) -> None:
        """Alike."""
        self.one, self.other = Gateway(made, True), Gateway(made, False)
        self.alias = "0" * 32 + ".a.example.org."
        self.cookies: dict[str, bytes] = {}

    def ask(self, step: Step) -> tuple[bytes | None, bytes | None]:
        """What both say."""
        self.one.pass_time(step.wait)
        self.other.pass_time(step.wait)
        self.asked = message = self.message(step)
        answers = [gateway.ask(message, step.resolver, step.tcp) for gateway in (self.one, self.other)]
        if answers[1]:
            self.learn(step, dns.message.from_wire(answers[1]))
        return answers[0], answers[1]

    def message(self, step: Step) -> bytes:
        """A query."""
        letters = enumerate(step.name or self.alias)
        name = "".join(letter.swapcase() if step.case >> at % 64 & 1 else letter for at, letter in letters)
        query = dns.message.make_query(name, step.kind, step.cls, id=step.id, flags=step.flags)
        query.set_opcode(dns.opcode.Opcode(step.opcode))
        if step.cookie or step.others:
            data = {
                "client": b"12345678",
                "given": self.cookies.get(step.resolver, b"12345678"),
                "forged": b"12345678" + bytes((1, 0, 0, 0)) + bytes(12),
                "short": b"12345678" + bytes(8),
                "malformed": b"123456789",
            }.get(step.cookie)
            octets = [OPTIONS[each] for each in step.others]
            if data is not None:
                octets.insert(step.id % (len(octets) + 1), (10, data))
            options: list[dns.edns.Option] = [dns.edns.GenericOption(str(code), value) for code, value in octets]
            query.use_edns(step.version, dns.flags.DO if step.do else 0, options=options)
        whole = bytes(query.to_wire())
        end, count = whole.index(0, 12) + 5, step.questions.to_bytes(2, "big")
        return whole[:4] + count + whole[6:12] + whole[12:end] * step.questions + whole[end:]

    def learn(self, step: Step, answer: dns.message.Message) -> None:
        """Notes the cookie and the alias that were given."""
        for option in answer.options:
            if option.otype == 10:
                self.cookies[step.resolver] = option.to_wire() or b""
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.CNAME:
                self.alias = rrset[0].target.to_text()


def misshapen(message: bytes, answer: bytes) -> list[str]:
    """What of an answer is not as every answer to that message has to be; each path may be wrong in the same way.

    Args:
        message: What was asked, well-formed but for the number of its questions.
        answer: What was said.
    """
    asked, said = (struct.unpack("!HHHHHH", each[:12]) for each in (message, answer))
    heard = dns.message.from_wire(answer)
    rcode, aa = heard.rcode(), bool(said[1] & 0x0400)
    once = asked[2] == 1
    end = message.index(0, 12) + 5 if once else 12
    opt = 12 + asked[2] * (message.index(0, 12) - 7) if asked[5] else -1
    wanted = {
        "ID": said[0] == asked[0],
        "QR, opcode, RD, CD": said[1] & 0xF910 == (0x8000 | asked[1] & 0x7910),
        "RA, Z, AD": not said[1] & 0x00E0,
        "AA": not aa or rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN),
        "QDCOUNT": said[2] == once,
        "the question, octet by octet": answer[12:end] == message[12:end],
        "one OPT for one OPT": (heard.edns >= 0) == (opt >= 0),
        "its version": heard.edns <= 0,
        "DO": opt < 0 or (heard.ednsflags & dns.flags.DO) == (message[opt + 7] & 0x80) << 8,
        "options": {int(option.otype) for option in heard.options} <= {8, 10, 15},
        "no option twice": len({option.otype for option in heard.options}) == len(heard.options),
        "no records beside a refusal": rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not (said[3] or said[4]),
    }
    return [what for what, holds in wanted.items() if not holds]


STEPS = st.builds(
    Step,
    name=st.one_of(st.sampled_from(NAMES[:5]), st.none(), st.sampled_from(NAMES)),
    kind=st.sampled_from(KINDS),
    resolver=st.sampled_from(RESOLVERS),
    tcp=st.sampled_from([False, False, True]),
    cookie=st.sampled_from(["", "", "plain", "client", "given", "given", "forged", "short", "malformed"]),
    flags=st.sampled_from(
        [0, dns.flags.RD, dns.flags.RD | dns.flags.AD, dns.flags.CD, dns.flags.TC, dns.flags.AA, dns.flags.RA, 0x40]
    ),
    wait=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.3, 3.0, 400.0]),
    id=st.integers(0, 3),
    case=st.one_of(st.just(0), st.integers(0, 2**64 - 1)),
    others=st.one_of(st.just(()), st.just(()), st.lists(st.sampled_from(tuple(OPTIONS)), max_size=3).map(tuple)),
    do=st.booleans(),
    version=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1]),
    cls=st.sampled_from(["IN"] * 7 + ["CH", "ANY", "NONE", "CLASS4711"]),
    questions=st.sampled_from([1] * 8 + [0, 2]),
    opcode=st.sampled_from([0] * 9 + [2, 4, 7]),
)
