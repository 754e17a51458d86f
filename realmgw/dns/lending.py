"""Addresses of the circular pool, lent to who asks: challenges, then the allocator, and what is said without one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Challenge
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.allocation.state import KEY
from realmgw.config import settings
from realmgw.config.policy import Refusal
from realmgw.dns.codec.message import ExtendedError, InfoCode, Record, Response
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.counts import Count, Counts
from realmgw.dns.mitigation.aliases import Aliases
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.view import Answer, Asked, said
from realmgw.dns.zones import ZoneTable, address_record
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

POOL_TTL = 0  # seconds
"""Of a reserved address: it is for one client, now."""
AGAIN = 0.5  # seconds
"""After this time a query by TCP that the policy refused is tried once more."""
MOST_AGAIN = 1000
"""So many queries may be waiting for that."""

Later = Callable[[float, Callable[[float], None]], object]
"""Calls a function after so many seconds, and tells it what time it is then."""

_NO_ADDRESS = {
    Reason.EXHAUSTED: "no public address is free",
    Reason.WAITED: "no public address came free in time",
    Reason.QUEUE_FULL: "no public address is free, and too many queries wait for one",
    Reason.HOST_LIMIT: "too many clients of this host are still expected",
    Reason.POLICY: "refused by policy",
    Reason.WITHDRAWN: "the host has gone",
    Reason.CLAIM_LIMIT: "too many clients are still expected",
    Reason.STOPPING: "the gateway is stopping",
    Reason.DEGRADED: "the gateway can not carry flows at present",
    Reason.GONE: "the connection was closed before a public address came free",
}


class Lending:
    """Answers with addresses of the pool.

    Args:
        allocator: Where they come from.
        challenger: Learns what a query has shown.
        aliases: Given out as challenges.
        counts: Counters.
        later: The clock.
        present: What it says, in monotonic seconds.
    """

    def __init__(
        self,
        allocator: Allocator,
        challenger: Challenger,
        aliases: Aliases,
        counts: Counts,
        later: Later,
        present: Callable[[], float],
    ) -> None:
        self._allocator, self._challenger, self._aliases = allocator, challenger, aliases
        self._counts, self._events = counts, counts.events
        self._later, self._present = later, present
        self._note = allocator.ledger.decisions.refuse_answer
        self._again = 0

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, go by these."""
        self._tells = settings.policy.refuse_udp is Refusal.SERVFAIL
        self._zones, self._has_ipv4 = table.zones, bool(settings.pools.networks4)

    def challenge(self, asked: Asked) -> Answer | None:
        """Answers a query that is due a challenge, unless the allocator was asked already."""
        if asked.refused is not None:
            return self.lend(asked)
        _, _, alias, due, _ = asked.decision
        self._challenger.send_round(asked.query.name, alias, asked.sender.resolver, asked.sender.proof)
        if due is Challenge.COOKIE:
            return said(Response(Rcode.BADCOOKIE))
        if due is Challenge.TC:
            return _truncated(Count.CHALLENGED_TC)
        given = self._aliases.give(asked.query.name, asked.sender.resolver, now=asked.now)
        if given is None:
            return _truncated(Count.ALIASES_FULL)
        found = (Record(asked.query.name, Type.CNAME, 0, targets=(given.name,)),)
        return Answer(Response(authoritative=True, answers=found), Count.CHALLENGED_CNAME)

    def lend(self, asked: Asked) -> Answer | None:
        """Answers a query for an address, or lets it wait for one."""
        _, _, alias, counted, _ = asked.decision
        resolver, proof, tcp = asked.sender.resolver, asked.sender.proof, asked.asker.tcp
        if asked.refused is None:
            self._challenger.accept(asked.query.name, alias, counted, resolver, proof, asked.now)
        else:
            self._challenger.vouch(resolver, proof, asked.now)
        asked.client = self._client(asked)
        outcome = asked.refused or self._ask(asked)
        if outcome is Reason.EXHAUSTED:
            if not tcp and self._challenger.follows_tc(resolver):
                given = self._allocator.at_once(*self._question(asked), now=asked.now, client=asked.client)
                return _truncated(Count.TC_TO_WAIT) if given is None else self._answer(asked, given)
            why = self._wait(asked)
            if why is None:
                return None
            outcome = why
        if outcome is Reason.POLICY and tcp and self._again < MOST_AGAIN and not self._has_another(asked):
            self._again += 1
            asked.asker.gone(asked.leave)
            self._later(AGAIN, functools.partial(self._try_again, asked))
            return None
        return self._answer(asked, outcome)

    def _client(self, asked: Asked) -> Requestor | None:
        """Whom the query is for, where that is told by somebody who is believed.

        Where challenges are asked for anywhere, that is who has shown where he is.
        """
        said, proof = asked.sender.options, asked.sender.proof
        if said is None or (self._challenger.active and not proof):
            return None
        network = said.network
        if network is not None:
            prefix = ClientPrefix(network.network_address.packed, network.prefixlen)
            return self._allocator.requestor(asked.sender.resolver, prefix, prefix, now=asked.now)
        if said.identifier is not None:
            return self._allocator.requestor(asked.sender.resolver, said.identifier, None, now=asked.now)
        return None

    def _question(self, asked: Asked) -> tuple[Service, str, Hashable]:
        """What the allocator is asked; an alias is one question, however often it is asked, and from wherever."""
        _, service, alias, _, _ = asked.decision
        if service is None:
            raise AssertionError(f"{asked.decision} is not for the allocator")
        question = (asked.asker.address, asked.query.id) if alias is None else alias.name
        return service, asked.sender.resolver, question

    def _ask(self, asked: Asked) -> bytes | Reason:
        """A packed address, or why there is none."""
        question, family = self._question(asked), _family(asked)
        return self._allocator.ask(*question, now=asked.now, client=asked.client, family=family)

    def _wait(self, asked: Asked) -> Reason | None:
        """None if the query waits for an address, which only an IPv4 one is worth, else why it does not."""
        question, come = self._question(asked), functools.partial(self._come, asked)
        why = self._allocator.wait(*question, come, tcp=asked.asker.tcp, now=asked.now, client=asked.client)
        if why is None:
            self._events[Count.WAITED] += 1
            service, _, key = question
            asked.asker.gone(functools.partial(self._hang_up, service, key, come))
        return why

    def _hang_up(self, service: Service, question: Hashable, come: Callable[[bytes | Reason], None]) -> None:
        self._allocator.hang_up(service, question, come, now=self._present())

    def _come(self, asked: Asked, outcome: bytes | Reason) -> None:
        """The allocator's last word."""
        asked.now = self._present()
        asked.respond(functools.partial(self._answer, asked, outcome))

    def _try_again(self, asked: Asked, now: float) -> None:
        self._again -= 1
        self._events[Count.TRIED_AGAIN] += 1
        asked.now = now
        asked.respond(functools.partial(self._lend_again, asked))

    def _lend_again(self, asked: Asked) -> Answer | None:
        if asked.has_left:
            return self._answer(asked, Reason.GONE)
        self._challenger.vouch(asked.sender.resolver, asked.sender.proof, asked.now)
        outcome: bytes | Reason | None = self._ask(asked)
        if outcome is Reason.EXHAUSTED:
            outcome = self._wait(asked)
        return None if outcome is None else self._answer(asked, outcome)

    def _answer(self, asked: Asked, outcome: bytes | Reason) -> Answer:
        """What is said when the allocator's last word is known: by UDP mostly nothing, where there is no address."""
        if isinstance(outcome, bytes):
            found = (address_record(asked.query.name, POOL_TTL, outcome),)
            return Answer(Response(authoritative=True, answers=found), Count.RESERVED)
        self._counts.refused[outcome] += 1
        service, resolver, _ = self._question(asked)
        self._note(asked.now, service.name, resolver, asked.client, outcome)
        error, tcp = _no_address(outcome), asked.asker.tcp
        if outcome is not Reason.DEGRADED and self._has_another(asked):
            return said(self._nothing_now(asked.query.name, error))
        if outcome is Reason.POLICY:
            if tcp and not self._is_hopeless(asked):
                return said(self._nothing_now(asked.query.name, error))
            if not tcp and self._tells:
                return Answer(Response(Rcode.SERVFAIL, error=error), Count.SERVFAIL_UDP)
        if not tcp and outcome is not Reason.DEGRADED:  # which lasts: the resolver had better ask another server
            return Answer(None, Count.SILENT)
        return said(Response(Rcode.SERVFAIL, error=error))

    def _has_another(self, asked: Asked) -> bool:
        """Whether who is refused an address of IPv6 may come by IPv4: then he is told at once that there is none now.

        Stubs that ask for both wait for both answers, and some take a failure of one for a failure of all.
        """
        service = asked.decision[1]
        return _family(asked) == 6 and self._has_ipv4 and service is not None and service.direct4

    def _nothing_now(self, name: bytes, error: ExtendedError) -> Response:
        """That there is no address at present, and that nobody is to remember it.

        Without any record, resolvers would keep it for seconds of their own choice; with this they keep it for the time
        that the SOA's TTL says (RFC 2308 section 5).
        """
        zone = self._zones.of(name)
        authority = () if zone is None else (attrs.evolve(zone.negative, ttl=0),)
        return Response(authoritative=True, authority=authority, error=error)

    def _is_hopeless(self, asked: Asked) -> bool:
        """Whether even an empty pool would refuse; that of IPv6 refuses for how much is asked for, which passes."""
        policy, service = self._allocator.askers.load, asked.decision[1]
        if _family(asked) == 6:
            return False
        if policy is None or service is None:
            return True
        kind = Kind.SFQDN_NEW if service.target & KEY else Kind.FQDN_NEW
        group = self._allocator.groups.known(asked.sender.resolver)
        return policy.judge(kind, 0.0, group, None, asked.now).reason is not None


def _family(asked: Asked) -> int:
    """The family of the addresses that are asked for, 4 or 6."""
    return 4 if asked.query.type == Type.A else 6


def _truncated(count: Count) -> Answer:
    """Nothing but TC: the resolver comes again by TCP."""
    return Answer(Response(authoritative=True, truncated=True), count)


def _no_address(reason: Reason) -> ExtendedError:
    """Why there is no address, for the people who run the resolver."""
    code = InfoCode.PROHIBITED if reason is Reason.POLICY else InfoCode.NOT_READY
    return ExtendedError(code, _NO_ADDRESS.get(reason, ""))
