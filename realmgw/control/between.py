"""A flow as operators write it: two ends, in either order, ours by the public address or by the host's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol

import attrs

from realmgw.allocation.flow import Flow
from realmgw.config.quoting import shortened
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.subscribers.model import Host
from realmgw.subscribers.review import addresses_of

End = tuple[bytes, int | None]
"""Packed address, and port (0: the protocol has none); None: whichever."""
_END = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::([0-9]{1,5}))?")


def end(text: str, name: str) -> End:
    """An address with a port, `198.51.100.7:443` or `[2001:db8::7]:443`, or the address alone: then whichever port.

    Args:
        text: What was written.
        name: What the parameter is called.

    Raises:
        CommandError: It is something else.
    """
    found = _END.fullmatch(text)
    address, port = (text, None) if found is None else (found[1] or found[2], found[3])
    try:
        if port is None or int(port) < 1 << 16:
            return ip_address(address).packed, None if port is None else int(port)
    except ValueError:
        pass
    raise CommandError(
        ExitStatus.USAGE, f"{name}: {shortened(repr(text))}: write 198.51.100.7:443, or [2001:db8::7]:443"
    )


def is_at(wanted: End, address: bytes, port: int) -> bool:
    """Whether a packed address with a port is an end."""
    return address == wanted[0] and wanted[1] in (None, port)


class Registry(Protocol):
    """What is asked of a `realmgw.subscribers.registry.Registry`."""

    def host_called(self, name: str) -> Host | None:
        """The host of a name."""

    def host_at(self, address: bytes) -> Host | None:
        """The host that has a packed address."""


@attrs.frozen
class Between:
    """The flows between two ends; without ports there may be several."""

    one: End
    """Where the client is, or ours."""
    other: End
    """The other one."""
    registry: Registry
    """Whose addresses are whose."""

    @property
    def _orders(self) -> tuple[tuple[End, End], tuple[End, End]]:
        return (self.one, self.other), (self.other, self.one)

    def has(self, source: tuple[bytes, int], *others: tuple[bytes, int]) -> bool:
        """Whether a flow is meant that has one end here (packed address and port), and the other one there.

        Args:
            source: The one.
            others: By any of these the other one is known.
        """
        return any(is_at(one, *source) and any(is_at(other, *each) for each in others) for one, other in self._orders)

    def brings(self, flow: Flow, name: Callable[[], str | None]) -> bool:
        """Whether a first packet is of a flow that is meant.

        Args:
            flow: It, as it came to us.
            name: Tells what its address stood for; None: that is not known.
        """
        source, destination, _, sport, dport = flow
        for one, other in self._orders:
            if not is_at(one, source, sport) or other[1] not in (None, dport):
                continue
            if other[0] == destination or other[0] in (self._led_to(name()) or ()):
                return True
        return False

    def met_behind(self, flow: Flow, told: Callable[[bytes], str | None]) -> bool:
        """Whether a packet is of a flow that is meant, which a rule of its host has met, behind the translation.

        Args:
            flow: It, as the rule has met it.
            told: Tells what a packed address stood for; None: that is not known.
        """
        source, destination, _, sport, dport = flow
        if self.has((source, sport), (destination, dport)):
            return True
        for one, other in self._orders:
            if not is_at(one, source, sport) or other[1] not in (None, dport):
                continue
            led = self._led_to(told(other[0]))
            if self.registry.host_at(other[0]) is None and (led is None or destination in led):
                return True  # where it is not known what the address stood for, it may have been that host's
        return False

    def _led_to(self, name: str | None) -> tuple[bytes, ...] | None:
        """The addresses of the host that a name leads to; None: that is not known."""
        host = None if name is None else self.registry.host_called(name)
        return None if host is None else addresses_of(host)
