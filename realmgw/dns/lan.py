"""What the LAN's view says: private addresses, and their names, those of guests among them. Nothing is reserved."""

from __future__ import annotations

from realmgw.config import settings
from realmgw.dns.counts import Counts
from realmgw.dns.decision import ADDRESS_TYPES, AddressPolicy, Decisions, Outcome
from realmgw.dns.guests import GuestNames, Guests
from realmgw.dns.view import Configured, Fast, Part, View, nothing_usual
from realmgw.dns.zones import ZoneTable

_OURS = frozenset(Outcome) - {Outcome.ELSEWHERE, Outcome.BAD_NAME}


def lan_view(
    settings: settings.Settings,
    table: ZoneTable,
    counts: Counts | None = None,
    forward: Part | None = None,
    fast: Fast = nothing_usual,
    guests: Guests | None = None,
    own: Part | None = None,
) -> View:
    """The LAN's view.

    Args:
        settings: Zones, sizes, TTLs.
        table: What is answered for.
        counts: Another view's, which it counts for.
        forward: Answers questions that lie in no zone of ours; None: they are refused.
        fast: Its fast path.
        guests: Who has a name and is no subscriber; None: nobody.
        own: Answers questions that lie in our zones, whatever there is; None: that is answered from the table.
    """
    decisions = Decisions(_addresses, is_forwarding=forward is not None)
    parts: dict[Outcome, Part] = {} if forward is None else {Outcome.ELSEWHERE: forward}
    configured: tuple[Configured, ...] = (decisions,)
    if guests is not None:
        others = GuestNames(guests, decisions)
        parts[Outcome.NXDOMAIN] = parts[Outcome.NODATA] = others.answer
        configured = (decisions, others)
    if own is not None:
        parts |= dict.fromkeys(_OURS, own)
    view = View(decisions, parts=parts, counts=counts or Counts(), fast=fast, configured=configured)
    view.configure(settings, table)
    return view


def _addresses(settings: settings.Settings) -> AddressPolicy:
    return AddressPolicy(
        lambda service: service.host.own,
        settings.dns.host_ttl,
        direct=ADDRESS_TYPES,
        proxied=ADDRESS_TYPES,
        pointers=True,
    )
