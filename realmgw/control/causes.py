"""Which keys of the configuration have refused somebody, by the reason, and where these are written. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from ipaddress import ip_address

from realmgw.config.settings import Settings
from realmgw.control.commands import Value
from realmgw.datapath.pipeline.parts import where
from realmgw.errors import Reason

KEYS: Mapping[Reason, tuple[str, ...]] = {
    Reason.EXHAUSTED: ("pools.circular",),
    Reason.WAITED: ("allocation.wait_udp", "allocation.wait_tcp"),
    Reason.QUEUE_FULL: ("allocation.max_waiting",),
    Reason.POLICY: ("policy.system_load",),
    Reason.CLAIM_LIMIT: ("policy.max_claims",),
    Reason.DEGRADED: ("allocation.while_degraded",),
    Reason.NO_CLAIM: ("allocation.claim_sources",),
    Reason.OTHER_NETWORK: ("policy.groups",),
    Reason.LATE: ("allocation.linger",),
    Reason.CROWDED: ("allocation.candidate_rate",),
}
"""By reason; those that are not here are nobody's setting, or a host's own (`OF_HOST`)."""
OF_HOST: Mapping[Reason, str] = {Reason.HOST_LIMIT: "max_claims"}
"""Reasons that are a key of the host, with that key."""


def causes(settings: Settings, reason: Reason, resolver: Hashable = None) -> list[Value]:
    """The keys that have refused somebody: each with `origin`, file and line, or None where it has its default.

    Args:
        settings: What is in force.
        reason: Why he was refused.
        resolver: Who has asked: of the load policy, the row of his group counts as well.
    """
    keys = (*KEYS.get(reason, ()), *(_rows(settings, resolver) if reason is Reason.POLICY else ()))
    return [{"key": key.rstrip("0123456789").rstrip("."), "origin": place(settings, key)} for key in keys]


def _rows(settings: Settings, resolver: Hashable) -> Iterator[str]:
    try:
        address = ip_address(str(resolver))
    except ValueError:
        return
    for at, group in enumerate(settings.policy.groups):
        if any(address in each for each in group.nodes):
            yield f"policy.groups.{at}"


def place(settings: Settings, key: str) -> str | None:
    """The file and the line of a key, in short; None: it is written nowhere."""
    return where(settings.places.get(key, "").rpartition(":")[0]) or None
