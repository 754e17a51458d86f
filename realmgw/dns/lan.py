"""What the LAN's view says: private addresses, and their names. Nothing is reserved."""

from __future__ import annotations

from collections.abc import Mapping

from realmgw.config import settings
from realmgw.dns.counts import Counts
from realmgw.dns.decision import ADDRESS_TYPES, AddressPolicy, Decisions, Outcome
from realmgw.dns.view import Fast, Part, View, nothing_usual
from realmgw.dns.zones import ZoneTable


def lan_view(
    settings: settings.Settings,
    table: ZoneTable,
    counts: Counts | None = None,
    forward: Part | None = None,
    fast: Fast = nothing_usual,
) -> View:
    """The LAN's view.

    Args:
        settings: Zones, sizes, TTLs.
        table: What is answered for.
        counts: Another view's, which it counts for.
        forward: Answers questions that lie in no zone of ours; None: they are refused.
        fast: Its fast path.
    """
    decisions = Decisions(_addresses)
    parts: Mapping[Outcome, Part] = {} if forward is None else {Outcome.ELSEWHERE: forward}
    view = View(decisions, parts=parts, counts=counts or Counts(), fast=fast, configured=(decisions,))
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
