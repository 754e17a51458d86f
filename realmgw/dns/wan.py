"""What the WAN's view says: addresses of the circular pool, or the service pool's of services that need a proxy."""

from __future__ import annotations

from collections.abc import Callable

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns.codec.wire import Type
from realmgw.dns.counts import Counts
from realmgw.dns.decision import AddressPolicy, Decisions, Outcome
from realmgw.dns.families import Families
from realmgw.dns.fastpath.fast import FastPath
from realmgw.dns.guests import Guests
from realmgw.dns.inside import Inside
from realmgw.dns.lan import lan_view
from realmgw.dns.lending import Later, Lending
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.mitigation.strangers import Strangers
from realmgw.dns.view import Part, View
from realmgw.dns.zones import ZoneTable


def wan_view(
    settings: settings.Settings,
    table: ZoneTable,
    allocator: Allocator,
    defences: Defences,
    later: Later,
    present: Callable[[], float],
    forward: Part | None = None,
    guests: Guests | None = None,
) -> View:
    """The WAN's view.

    Args:
        settings: Zones, policy, sizes, TTLs, and the service pool.
        table: What is answered for.
        allocator: Where pool addresses come from.
        defences: Against spoofed queries and floods.
        later: The clock.
        present: What it says, in monotonic seconds.
        forward: Answers those on a LAN who ask for what lies in no zone of ours; None: they are refused.
        guests: Of whom those on a LAN are told, who are no subscribers; None: of nobody.
    """
    counts, inside = Counts(), Inside()
    challenger = Challenger(allocator, defences.aliases, counts.events)
    decisions = Decisions(_addresses, challenger)
    lending = Lending(allocator, challenger, defences.aliases, counts, later, present)
    senders = Strangers(defences, allocator.groups, counts.events)
    fast = FastPath(decisions, inside, allocator, challenger, defences, counts)
    near = lan_view(settings, table, counts, forward, guests=guests)
    view = View(
        decisions,
        senders,
        {Outcome.LENT: lending.lend, Outcome.CHALLENGED: lending.challenge},
        counts,
        fast.answer,
        near=near,
        inside=inside,
        configured=(senders, challenger, decisions, lending, fast, near),
    )
    view.configure(settings, table)
    return view


def _addresses(settings: settings.Settings) -> AddressPolicy:
    pool = tuple([address.packed for address in settings.pools.service])
    kinds = frozenset(Type.A if address.version == 4 else Type.AAAA for address in settings.pools.service)
    return AddressPolicy(lambda _: pool, settings.dns.service_pool_ttl, Families(settings), proxied=kinds)
