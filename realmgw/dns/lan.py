"""What the LAN's view says: private addresses, and their names. Nothing is reserved."""

from __future__ import annotations

from realmgw.config import settings
from realmgw.dns.counts import Counts
from realmgw.dns.decision import ADDRESS_TYPES, AddressPolicy, Decisions
from realmgw.dns.view import View
from realmgw.dns.zones import ZoneTable, addresses_of


def lan_view(settings: settings.Settings, table: ZoneTable, counts: Counts | None = None) -> View:
    """The LAN's view; `counts` are another one's, which it counts for."""
    decisions = Decisions(_addresses)
    view = View(decisions, counts=counts or Counts(), configured=(decisions,))
    view.configure(settings, table)
    return view


def _addresses(settings: settings.Settings) -> AddressPolicy:
    return AddressPolicy(
        lambda service: addresses_of(service.host),
        settings.dns.host_ttl,
        direct=ADDRESS_TYPES,
        proxied=ADDRESS_TYPES,
        pointers=True,
    )
