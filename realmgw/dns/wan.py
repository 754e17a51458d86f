"""What the WAN's face answers: addresses of the circular pool, reserved for who is about to come."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Hashable
from typing import Any

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.allocation.state import KEY
from realmgw.config import settings
from realmgw.config.policy import Refusal
from realmgw.config.values import Network
from realmgw.dns.answers import POOL_TTL, Answers, Asker, kind_of, no_address
from realmgw.dns.codec import cookies, options
from realmgw.dns.codec.message import ExtendedError, Record, Response
from realmgw.dns.codec.options import Options
from realmgw.dns.codec.wire import COOKIE, Query, Rcode, Type
from realmgw.dns.counts import Count
from realmgw.dns.fastpath.quick import POOL_RECORD, QuickAnswers
from realmgw.dns.fastpath.usual import A_IN, A_IN_OPT, SHAPES, plain_opts
from realmgw.dns.inside import Inside
from realmgw.dns.lan import LanAnswers
from realmgw.dns.mitigation.aliases import Alias
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.mitigation.ratelimit import Verdict, amplifies
from realmgw.dns.zones import ZoneTable, address_record
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

AGAIN = 0.5  # seconds
"""After this time a query by TCP that the policy refused is tried once more."""
MOST_AGAIN = 1000
"""So many queries may be waiting for that."""

Later = Callable[[float, Callable[[float], None]], object]
"""Calls a function after so many seconds, and tells it what time it is then."""


class WanAnswers(Answers):
    """The WAN's: services get an address of the circular pool, or the service pool's if they need a proxy."""

    def __init__(
        self,
        table: ZoneTable,
        settings: settings.Settings,
        allocator: Allocator,
        defences: Defences,
        later: Later,
        present: Callable[[], float],
    ) -> None:
        """Begins to answer.

        Args:
            table: What is answered for.
            settings: Zones, policy, sizes, TTLs, and the reverse proxy.
            allocator: Where pool addresses come from.
            defences: Against spoofed queries and floods.
            later: The clock.
            present: What it says, in monotonic seconds.
        """
        super().__init__(table, settings)
        self._allocator = allocator
        self._ask = allocator.ask
        self._defences = defences
        self._cookies, self._aliases = defences.cookies, defences.aliases
        self._later, self._present = later, present
        self._again = 0
        self._events = self.counts.events
        self.lan = LanAnswers(table, settings, self.counts)
        self.challenger = Challenger(allocator, defences.aliases, self._events)
        self._rest = QuickAnswers(allocator, self.challenger, defences, self.counts, self.respond)
        self.configure_inside(())
        self.configure(settings)

    def replace(self, table: ZoneTable) -> None:
        super().replace(table)
        self._services = table.services
        self.challenger.replace(table)
        self._rest.configure(table, self._dns)
        self.lan.replace(table)

    def configure_inside(self, networks: Collection[Network]) -> None:
        """From now on, who asks from these networks is on a LAN: he gets private addresses, and nothing is reserved."""
        self.inside = Inside(networks)
        self._near = self.inside.beginnings

    def configure(self, settings: settings.Settings) -> None:
        super().configure(settings)
        self.lan.configure(settings)
        self._service_pool = tuple([address.packed for address in settings.pools.service])
        self._tells = settings.policy.refuse_udp is Refusal.SERVFAIL
        self._opts = plain_opts(settings.dns.udp_size)
        self.challenger.configure(settings)
        self._challenging = self.challenger.active
        self.replace(self.table)

    def quick(
        self, message: bytes, address: tuple[Any, ...], *, now: float, tcp: bool = False
    ) -> bytes | Reason | None:
        """See `Answers.quick`; here it answers A of a service, asked for with flags and OPT of the usual shape.

        It has no walk over labels: what equals a name of the table is one. Only the name is lower-cased, since type and
        class may look like letters (HTTPS is 65, which is `A`).
        """
        shape = SHAPES.get(message[2:12])
        if shape is None or (address[0].startswith(self._near) and self.inside.holds(address[0])):
            return None
        end = message.find(0, 12) + 1
        service = self._services.get(message[12:end].lower())
        if service is None or tcp or self._challenging:
            return self._rest.answer(message, shape[2], end, service, address, now=now, tcp=tcp)
        tail = message[end:]
        if shape[1]:
            opt = self._opts.get(tail[9:]) if tail[:7] == A_IN_OPT else None
            if opt is None:
                return self._rest.answer(message, shape[2], end, service, address, now=now, tcp=tcp)
        elif tail == A_IN:
            opt = b""
        else:
            return self._rest.answer(message, shape[2], end, service, address, now=now, tcp=tcp)
        if service.terms.proxy_required:
            return self._rest.answer(message, shape[2], end, service, address, now=now, tcp=tcp)
        query_id = message[:2]
        given = self._ask(service, address[0], (address, query_id), now=now)
        if type(given) is not bytes:
            return given
        self._events[0] += 1  # Count.RESERVED; looking the member up costs more than counting
        return query_id + shape[0] + message[12 : end + 4] + POOL_RECORD + given + opt

    def answer(self, query: Query, asker: Asker, *, now: float, refused: Reason | None = None) -> bytes | None:
        """See `Answers.answer`; who is on a LAN is told what he would be told there."""
        if self.inside.holds(asker.address[0]):
            self._events[Count.INSIDE] += 1
            return self.lan.answer(query, asker, now=now)
        return super().answer(query, asker, now=now, refused=refused)

    def say(self, query: Query, response: Response, asker: Asker, *, now: float, count: Count | None = None) -> bytes:
        """See `Answers.say`; what reserves no address is subject to the rate limit, and cookies go back."""
        count = kind_of(response) if count is None else count
        said = self._said(query, asker)
        response = attrs.evolve(response, options=self._replies(said, asker, count, now))
        answer = super().say(query, response, asker, now=now, count=count)
        if count is Count.RESERVED or self._proof(said, asker, now) or not amplifies(query.length, len(answer)):
            return answer
        verdict = self._defences.verdict(asker.address[0], self._events, now=now)
        if verdict is Verdict.PASS:
            return answer
        self._events[count] -= 1
        if verdict is Verdict.DROP:
            return b""
        self._events[Count.RATE_SLIPPED] -= 1  # it is counted below, too
        slipped = Response(truncated=True, options=response.options)
        return super().say(query, slipped, asker, now=now, count=Count.RATE_SLIPPED)

    def _replies(self, said: Options, asker: Asker, count: Count, now: float) -> tuple[tuple[int, bytes], ...]:
        """The options of an answer: the cookie, and for how large a network it is (RFC 7871 section 7.2.1)."""
        replies = []
        if said.cookie is not None and self._cookies.enabled:
            replies.append((COOKIE, self._cookies.reply(said.cookie, asker.address[0], now=now)))
        if said.subnet is not None:
            believed = count is Count.RESERVED and self._believed(said, asker, now) is not None
            replies.append((options.CLIENT_SUBNET, said.subnet.reply(believed)))
        return tuple(replies)

    def _proof(self, said: Options, asker: Asker, now: float) -> Proof:
        if asker.tcp:
            return Proof.TCP
        if said.cookie is None or not self._cookies.enabled:
            return Proof.NONE
        return Proof.COOKIE if self._cookies.proves(said.cookie, asker.address[0], now=now) else Proof.NONE

    def _client(self, said: Options, asker: Asker, now: float) -> Requestor | None:
        """Whom the query is for, where that is told by somebody who is believed."""
        network = said.network
        if network is not None:
            prefix = ClientPrefix(network.network_address.packed, network.prefixlen)
            return self._allocator.requestor(asker.address[0], prefix, prefix, now=now)
        if said.identifier is not None:
            return self._allocator.requestor(asker.address[0], said.identifier, None, now=now)
        return None

    def _service(self, name: bytes, *, now: float) -> Service | None:
        service = self._services.get(name)
        if service is None and (alias := self._aliases.find(name, now=now)) is not None:
            service = self._services.get(alias.owner)
        return service

    def lends(self, service: Service) -> bool:
        return not service.terms.proxy_required

    def _addresses(self, service: Service) -> tuple[tuple[bytes, ...], int]:
        # The circular pool is IPv4: nothing is reserved for clients that can not come, and nothing said but that.
        return self._service_pool if service.terms.proxy_required else (), self._dns.service_pool_ttl

    def _agreed(self, asker: Asker) -> bool:
        group = self._allocator.groups.find(asker.address[0])
        return group is not None and group.sla

    def _said(self, query: Query, asker: Asker) -> Options:
        """What the options of a query say; nothing if they are malformed, which is answered elsewhere."""
        if query.edns is None or not query.edns.options:
            return options.NONE
        try:
            return options.read(query.edns.options, agreed=self._agreed(asker))
        except options.BadOptionError:
            return options.NONE

    def _without_question(self, query: Query, asker: Asker, *, now: float) -> bytes:
        cookie = self._said(query, asker).cookie
        if cookie is None or not self._cookies.enabled:
            return super()._without_question(query, asker, now=now)
        if len(cookie) > cookies.CLIENT_LENGTH and not self._cookies.proves(cookie, asker.address[0], now=now):
            return self.error(query, Rcode.BADCOOKIE, asker, now=now)
        return self.say(query, Response(), asker, now=now, count=Count.COOKIES)

    def _lend(
        self, query: Query, service: Service, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        said = self._said(query, asker)
        if refused is None:
            challenge = self._due(query, said, asker, now)
            if challenge is not None:
                return self._challenge(query, challenge, asker, now)
        client = self._believed(said, asker, now)
        outcome = refused or self._reserve(query, service, asker, client, now=now)
        if outcome is Reason.EXHAUSTED:
            if not asker.tcp and self.challenger.follows_tc(asker.address[0]):
                return self._truncated(query, asker, now=now, count=Count.TC_TO_WAIT)
            why = self._wait(query, service, asker, client, now=now)
            if why is None:
                return None
            outcome = why
        if outcome is Reason.POLICY and asker.tcp and self._again < MOST_AGAIN:
            self._again += 1
            self._later(AGAIN, functools.partial(self._try_again, query, service, asker, client))
            return None
        return self._finish(query, outcome, asker, now)

    def _believed(self, said: Options, asker: Asker, now: float) -> Requestor | None:
        """`_client`, where its resolver has shown that it is he, if such is asked for anywhere."""
        if said is options.NONE or (self.challenger.active and not self._proof(said, asker, now)):
            return None
        return self._client(said, asker, now)

    def alias(self, name: bytes, *, now: float) -> Alias | None:
        """What a name (wire form, lower case) stands for, where it is not a service's own."""
        return None if name in self._services else self._aliases.find(name, now=now)

    def _due(self, query: Query, said: Options, asker: Asker, now: float) -> Challenge | None:
        resolver, proof = asker.address[0], self._proof(said, asker, now)
        cookie = said.cookie is not None and self._cookies.enabled
        alias = self.alias(query.name, now=now)
        return self.challenger.demand(query.name, alias, resolver, proof=proof, cookie=cookie, now=now)

    def _challenge(self, query: Query, challenge: Challenge, asker: Asker, now: float) -> bytes:
        if challenge is Challenge.COOKIE:
            return self.error(query, Rcode.BADCOOKIE, asker, now=now)
        count = Count.CHALLENGED_TC
        if challenge is Challenge.CNAME:
            alias = self._aliases.give(query.name, asker.address[0], now=now)
            if alias is not None:
                found = (Record(query.name, Type.CNAME, 0, targets=(alias.name,)),)
                return self.say(
                    query,
                    Response(authoritative=True, answers=found),
                    asker,
                    now=now,
                    count=Count.CHALLENGED_CNAME,
                )
            count = Count.ALIASES_FULL
        return self._truncated(query, asker, now=now, count=count)

    def _truncated(self, query: Query, asker: Asker, *, now: float, count: Count) -> bytes:
        """Nothing but TC: the resolver comes again by TCP."""
        return self.say(query, Response(authoritative=True, truncated=True), asker, now=now, count=count)

    def _question(self, query: Query, asker: Asker) -> Hashable:
        """What is equal for a retransmission; an alias is one question, however often it is asked."""
        return (asker.address, query.id) if query.name in self._services else query.name

    def _reserve(
        self, query: Query, service: Service, asker: Asker, client: Requestor | None, *, now: float
    ) -> bytes | Reason:
        """A packed address, or why there is none."""
        self.challenger.vouch(asker.address[0], self._proof(self._said(query, asker), asker, now), now=now)
        return self._ask(service, asker.address[0], self._question(query, asker), now=now, client=client)

    def _wait(
        self, query: Query, service: Service, asker: Asker, client: Requestor | None, *, now: float
    ) -> Reason | None:
        """None if the query waits for an address, else why it does not."""
        self.challenger.vouch(asker.address[0], self._proof(self._said(query, asker), asker, now), now=now)
        resolver, question = asker.address[0], self._question(query, asker)
        deliver = functools.partial(self._deliver, query, asker)
        why = self._allocator.wait(service, resolver, question, deliver, tcp=asker.tcp, now=now, client=client)
        if why is None:
            self.counts.events[Count.WAITED] += 1
        return why

    def _try_again(self, query: Query, service: Service, asker: Asker, client: Requestor | None, now: float) -> None:
        self._again -= 1
        self._events[Count.TRIED_AGAIN] += 1
        outcome: bytes | Reason | None = self._reserve(query, service, asker, client, now=now)
        if outcome is Reason.EXHAUSTED:
            outcome = self._wait(query, service, asker, client, now=now)
        if outcome is not None:
            self._deliver(query, asker, outcome)

    def _deliver(self, query: Query, asker: Asker, outcome: bytes | Reason) -> None:
        """Answers later. Raises nothing: the allocator calls it."""
        try:
            answer = self._finish(query, outcome, asker, self._present())
        except Exception:  # noqa: BLE001 - it is counted and logged there
            asker.fail()
        else:
            asker.deliver(answer)

    def _finish(self, query: Query, outcome: bytes | Reason, asker: Asker, now: float) -> bytes:
        """The answer to a query for a reserved address, when the allocator's last word is known.

        Args:
            query: The query.
            outcome: The packed address, or why there is none.
            asker: Who sent it.
            now: The present, in monotonic seconds.
        """
        if isinstance(outcome, bytes):
            found = (address_record(query.name, POOL_TTL, outcome),)
            return self.say(query, Response(authoritative=True, answers=found), asker, now=now, count=Count.RESERVED)
        self.counts.refused[outcome] += 1
        return self._refuse(query, outcome, asker, now)

    def _refuse(self, query: Query, reason: Reason, asker: Asker, now: float) -> bytes:
        """What is said without an address: by UDP mostly nothing, since the resolver will ask again."""
        if reason is Reason.POLICY:
            error = no_address(reason)
            if asker.tcp and not self._is_hopeless(query, asker, now):
                return self.say(query, self._nothing_now(query, error), asker, now=now)
            if not asker.tcp and self._tells:
                said = Response(Rcode.SERVFAIL, error=error)
                return self.say(query, said, asker, now=now, count=Count.SERVFAIL_UDP)
        if not asker.tcp and reason is not Reason.DEGRADED:  # which lasts: the resolver had better ask another server
            self.counts.events[Count.SILENT] += 1
            return b""
        return self.error(query, Rcode.SERVFAIL, asker, now=now, error=no_address(reason))

    def _nothing_now(self, query: Query, error: ExtendedError) -> Response:
        """That there is no address at present, and that nobody is to remember it.

        Without any record, resolvers would keep it for seconds of their own choice; with this they keep it for the time
        that the SOA's TTL says (RFC 2308 section 5).
        """
        zone = self.table.zones.of(query.name)
        authority = () if zone is None else (attrs.evolve(zone.negative, ttl=0),)
        return Response(authoritative=True, authority=authority, error=error)

    def _is_hopeless(self, query: Query, asker: Asker, now: float) -> bool:
        """Whether even an empty pool would refuse."""
        policy, service = self._allocator.askers.load, self._service(query.name, now=now)
        if policy is None or service is None:
            return True
        kind = Kind.SFQDN_NEW if service.target & KEY else Kind.FQDN_NEW
        group = self._allocator.groups.known(asker.address[0])
        return policy.judge(kind, 0.0, group, None, now).reason is not None
