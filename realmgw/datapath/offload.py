"""Flows that leave the chains: a flowtable of nftables, and the rule by which they get there. Pure, text.

What is in the flowtable is translated and sent on as soon as it comes in; the flow's other packets - TCP's first and
last ones, fragments, what is too long - go the usual way. A flow gets there when it is established: the whole pipeline
has let its first packet through, and the other side has answered. Conntrack's entry stays, counts, and is what ends it.

What has to be done to each packet can not be done to these: see `against`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from realmgw.config.policy import PolicyStage
from realmgw.config.settings import Leave6, Offload, Settings

NAME = "carried"
"""The flowtable's name."""
_HOOK = "hook ingress priority filter;"


@attrs.frozen
class Carrying:
    """What the flowtable takes."""

    devices: tuple[str, ...]
    """The names of our interfaces, as far as they are there."""
    ipv6: bool
    """Whether it takes flows of IPv6."""

    def declared(self) -> str:
        """The flowtable, as it is declared in a table."""
        at = f" {_at(self.devices)}" if self.devices else ""
        return f"flowtable {NAME} {{ {_HOOK}{at} counter; }}"

    def put_first(self, forwarding: list[str], passes: str, ours: str) -> None:
        """Put the rule before the one that lets established flows pass.

        Args:
            forwarding: The chain of all that is forwarded.
            passes: That rule.
            ours: The gateway's interfaces, as a set.
        """
        family = "" if self.ipv6 else "meta nfproto ipv4 "
        rule = f"ct state established {family}iifname {ours} oifname {ours} flow add @{NAME}"
        forwarding.insert(forwarding.index(passes), rule)


def carrying(settings: Settings, present: Callable[[str], bool], *, works: bool) -> Carrying | None:
    """What is carried by a flowtable; None: nothing is.

    Args:
        settings: The gateway's settings.
        present: Whether there is an interface of that name.
        works: Whether the kernel has flowtables.
    """
    if settings.datapath.offload is Offload.OFF or not works or against(settings):
        return None
    # The SNPT target of ip6tables translates each packet, and conntrack has not met it.
    ipv6 = all(each.leave is not Leave6.NPTV6 for each in settings.ipv6.outbound)
    return Carrying(tuple(name for name in names(settings) if present(name)), ipv6)


def names(settings: Settings) -> tuple[str, ...]:
    """The interfaces whose packets may be carried."""
    return (settings.interfaces.wan, *settings.interfaces.lan)


def against(settings: Settings) -> str:
    """What of the settings looks at each packet, so that nothing is carried; empty: nothing does."""
    if settings.alerts is not None:
        return "alerts bans clients in the midst of their flows"
    if settings.policy.pipeline.marking and PolicyStage.PACKET_MARKING in settings.datapath.policy_order:
        return "policy.pipeline.marking marks each packet"
    return ""


def joined(table: str, device: str) -> str:
    """The command after which packets that come in by an interface are looked for in the flowtable, too."""
    return f"add flowtable inet {table} {NAME} {{ {_HOOK} {_at((device,))} }}\n"


def _at(devices: Iterable[str]) -> str:
    every = ", ".join(f'"{each}"' for each in devices)
    return f"devices = {{ {every} }};"
