"""All stages of a gateway, as its settings want them: pure, text for nft."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from realmgw.config.pipeline import Refused, Segment
from realmgw.config.policy import PolicyStage
from realmgw.config.settings import Settings
from realmgw.datapath import marks
from realmgw.datapath.pipeline import groups, parts, preemptive, services
from realmgw.datapath.pipeline.parts import PREFIX, Stages, comment
from realmgw.datapath.pipeline.services import Around
from realmgw.datapath.policy import logged
from realmgw.datapath.proxied import Proxied

_SIDES = {marks.WAN: "wan", marks.LAN: "lan", marks.OTHER: "others"}
_AFTER_HOSTS = (PolicyStage.ADMIN_POLICY, PolicyStage.ADMIN_POLICY_DHCP, PolicyStage.ADMIN_POLICY_HTTP,
                PolicyStage.ADMIN_POLICY_DNS)  # fmt: skip
_WEB_PORTS = (80, 443)


def stages(settings: Settings, *, logs: bool = True) -> Stages:
    """What they place.

    Args:
        settings: The gateway's settings.
        logs: Whether the kernel can tell of packets, for the target LOG.
    """
    said, order = settings.policy.pipeline, settings.datapath.policy_order
    nflog = settings.datapath.log if logs else None
    wan, lan = settings.interfaces.wan, settings.interfaces.lan
    made = Stages(logged.objects(nflog))
    if PolicyStage.PACKET_MARKING in order and said.marking:
        made = made.joined(_marking(wan, lan))
    if PolicyStage.ADMIN_PREEMPTIVE in order:
        made = made.joined(preemptive.stages(said.preemptive, (wan, *lan, *said.tunnels), nflog))
    made = made.joined(
        services.stages(said.services, attrs.evolve(_around(settings), nflog=nflog), order), _segments(said.segments)
    )
    made = made.joined(groups.stages(groups.told(settings), nflog))
    if any(parts.REFUSE in line for lines in made.chains.values() for line in lines):
        made = Stages({}, parts.refusal()).joined(made)
    return made


def told(settings: Settings) -> frozenset[Refused]:
    """Who is told that the pool has refused him."""
    is_there = PolicyStage.MREJECT in settings.datapath.policy_order
    return frozenset(settings.policy.pipeline.reject if is_there else ())


def _around(settings: Settings) -> Around:
    order, dns, portal = settings.datapath.policy_order, settings.dns, settings.portal
    ports = tuple(each.port for view in (dns.wan, dns.lan) for each in view.listen) or (53,)
    http = (*_WEB_PORTS, *(each.port for each in (portal.endpoints if portal else ())))
    first = next((each for each in order if each in (*_AFTER_HOSTS, PolicyStage.CUSTOMER_POLICY)), None)
    wan, proxied = settings.interfaces.wan, Proxied.of(settings)
    return Around(
        wan, settings.interfaces.lan, ports, http,
        settings.policy.pipeline.preemptive.management, () if proxied is None else tuple(proxied.served(f'"{wan}"')),
        is_after=first not in _AFTER_HOSTS,
    )  # fmt: skip


def _marking(wan: str, lan: tuple[str, ...]) -> Stages:
    """Where packets come from, before they are routed and behind the translation; where they go, before they leave."""
    ours = {marks.WAN: parts.interfaces([wan]), marks.LAN: parts.interfaces(lan)}
    others = parts.interfaces((wan, *lan, "lo"))

    def lines(word: str, shift: int, mask: int) -> Iterable[str]:
        for side in _SIDES:
            which = f"{word} != {others}" if side is marks.OTHER else f"{word} {ours[side]}"
            yield f"{which} meta mark set meta mark & {~mask & 0xFFFF_FFFF:#x} | {side << shift:#x} accept"

    ingress, egress = marks.INGRESS_SHIFT, marks.EGRESS_SHIFT
    before = "type filter hook prerouting priority dstnat + 20; policy accept;"
    after = "type filter hook postrouting priority mangle; policy accept;"
    return Stages({}, {
        f"{PREFIX}marks_in": (before, *lines("iifname", ingress, marks.INGRESS_MASK)),
        f"{PREFIX}marks_out": (after, *lines("oifname", egress, marks.EGRESS_MASK)),
    })  # fmt: skip


def _segments(said: tuple[Segment, ...]) -> Stages:
    """How large segments are, both ways; the kernel never makes them larger."""
    if not said:
        return Stages()
    lines = ["type filter hook forward priority mangle + 1; policy accept;", "tcp flags & syn != syn accept"]
    for each in said:
        size = "rt mtu" if each.size is None else str(each.size)
        for word in ("iifname", "oifname"):
            which = f"{word} {parts.interfaces([each.interface])}"
            lines.append(f"{which} tcp flags syn tcp option maxseg size set {size} {comment(each.origin)}")
    return Stages({}, {f"{PREFIX}segments": tuple(lines)})
