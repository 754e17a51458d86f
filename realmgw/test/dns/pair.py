"""Gateways that are asked the same, with a fast path, without one, and with an explanation before each answer."""

from __future__ import annotations

from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from hypothesis import strategies as st

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.steps import finish
from realmgw.dns.answers import Asker
from realmgw.dns.wan import WanAnswers
from realmgw.dns.wire import BadQueryError, Query, decode
from realmgw.dns.zones import amending, compile_table, naming
from realmgw.errors import Reason
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm

RESOLVERS = ("198.51.100.53", "198.51.100.54", "203.0.113.53", "2001:db8::53")
NAMES = (
    "one.example.org.",
    "Two.Example.ORG.",
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
KINDS = ("A", "A", "A", "A", "AAAA", "HTTPS", "ANY", "DS", "NS", "SOA", "AXFR", "OPT", "TYPE97", "TYPE128")
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


class Gateway:
    """A WAN's face with everything behind it, by itself."""

    def __init__(self, made: settings.Settings, has_quick: bool) -> None:
        """Nothing was asked."""
        self.now = 100.0
        self.later: list[Any] = []
        self.allocator = Allocator(settings.Allocation(), [realm.POOL], now=self.now, policy=made.policy)
        # A zone's apex without an address can be a service as well.
        self.directory = realm.directory(extra=("child.example.org.",))
        self.settings = made
        self.defences = realm.defences(made, most=4)
        table = compile_table(made.zones, self.directory)
        self.wan = WanAnswers(table, made, self.allocator, self.defences, lambda *args: self.later.append(args))
        self._has_quick = has_quick

    def reload(self, made: settings.Settings, directory: Directory) -> None:
        """What a reload does, in its order."""
        gone = {service.target for service in self.directory.services.values()}
        gone -= {service.target for service in directory.services.values()}
        self.allocator.regard_policy(made.policy, now=self.now)
        self.allocator.forget(gone, now=self.now)
        if made.zones == self.settings.zones:
            names = [name for name in self.directory.services if name not in directory.services]
            changes = finish(naming(self.wan.table, names, directory.services.values(), (), ()))
            for _ in amending(self.wan.table, changes):
                pass
        self.defences.regard(made, (), now=self.now)
        self.wan.regard(made)
        if made.zones != self.settings.zones:
            self.wan.replace(compile_table(made.zones, directory))
        self.settings, self.directory = made, directory

    def pass_time(self, seconds: float) -> None:
        """Claims end, and what was put off is done."""
        self.now += seconds
        later, self.later = self.later, []
        for _, function in later:
            function(self.now)
        self.allocator.expire(now=self.now)

    def ask(self, message: bytes, resolver: str, tcp: bool) -> bytes | None:
        """What is said to a query; None if nothing yet, or if it can not be read."""
        address = (resolver, 5353) if not tcp else (resolver, 5353, 1)
        outcome = self.wan.quick(message, address, now=self.now, tcp=tcp) if self._has_quick else None
        if isinstance(outcome, bytes):
            return outcome
        try:
            return self.wan.answer(decode(message), Asker(address, self._deliver, tcp), now=self.now, refused=outcome)
        except BadQueryError:
            return None

    def _deliver(self, query: Query, outcome: bytes | Reason) -> None:
        del query, outcome

    @property
    def books(self) -> tuple[Any, ...]:
        """What was counted and noted."""
        groups = sorted(
            (str(group.nodes), group.passed, group.proven_at, group.trusted, group.untrusted)
            for group in self.allocator.groups
        )
        return (self.wan.counts.events, self.wan.counts.refused, attrs.asdict(self.allocator.counters), groups)


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
        message = self.message(step)
        answers = [gateway.ask(message, step.resolver, step.tcp) for gateway in (self.one, self.other)]
        if answers[1]:
            self.learn(step, dns.message.from_wire(answers[1]))
        return answers[0], answers[1]

    def message(self, step: Step) -> bytes:
        """A query."""
        query = dns.message.make_query(step.name or self.alias, step.kind, id=step.id, flags=step.flags)
        if step.cookie:
            data = {
                "client": b"12345678",
                "given": self.cookies.get(step.resolver, b"12345678"),
                "forged": b"12345678" + bytes((1, 0, 0, 0)) + bytes(12),
                "short": b"12345678" + bytes(8),
                "malformed": b"123456789",
            }.get(step.cookie)
            query.use_edns(0, options=[] if data is None else [dns.edns.GenericOption("10", data)])
            if step.cookie == "do":
                query.use_edns(0, dns.flags.DO)
        return bytes(query.to_wire())

    def learn(self, step: Step, answer: dns.message.Message) -> None:
        """Notes the cookie and the alias that were given."""
        for option in answer.options:
            if option.otype == 10:
                self.cookies[step.resolver] = option.to_wire() or b""
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.CNAME:
                self.alias = rrset[0].target.to_text()


STEPS = st.builds(
    Step,
    name=st.one_of(st.sampled_from(NAMES[:2]), st.none(), st.sampled_from(NAMES)),
    kind=st.sampled_from(KINDS),
    resolver=st.sampled_from(RESOLVERS),
    tcp=st.sampled_from([False, False, True]),
    cookie=st.sampled_from(["", "", "plain", "do", "client", "given", "given", "forged", "short", "malformed"]),
    flags=st.sampled_from([0, dns.flags.RD, dns.flags.RD | dns.flags.AD, dns.flags.CD, dns.flags.TC]),
    wait=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.3, 3.0, 400.0]),
    id=st.integers(0, 3),
)
