"""The packet mark: 32 bits that user space and the kernel's rules speak to each other with.

::

     31    28 27  26 25  24 23                                   0
    +--------+-------+-------+-----------------------------------+
    |  step  |  in   |  out  |  host index (0 = none)            |
    +--------+-------+-------+-----------------------------------+

The step says where a first packet is on its way; the host index selects the private host, by a map in the kernel. An
index instead of an address leaves room for the step, and works for hosts with addresses of any family. With
`datapath.dnat: markdnat` the kernel itself puts the end of the host's address in the index's place, right
before the translation. Rules compare with `STEP_MASK` and look hosts up by the whole mark, so an operator's own rules
should leave the mark alone before priority `filter` (0) in the prerouting hook.

Where `policy.pipeline.marking` is on, every packet says by which side it comes in (from priority -80 of the prerouting
hook on, behind the translation and before routing) and by which it goes out (from -150 of the postrouting hook on).
`in` is 0 for what the gateway itself sends, `out` for what it receives.
"""

from __future__ import annotations

STEP_MASK = 0xF000_0000
"""The bits of the mark that hold the step."""
QUEUED = 0x1000_0000
"""Set by the kernel: this first packet goes to user space."""
ADMITTED = 0x2000_0000
"""Set by user space, together with a host index: translate the flow to that host."""
REJECTED = 0x4000_0000
"""Set by user space: refuse, and tell the sender by protocol."""
PROXIED = 0x8000_0000
"""Set by the kernel: the web proxy sends this packet to a host, and our table has been asked whether it may."""
HOST_MASK = 0x00FF_FFFF
"""The bits of the mark that hold the host index."""

INGRESS_MASK, INGRESS_SHIFT = 0x0C00_0000, 26
"""The bits that say by which side a packet comes in."""
EGRESS_MASK, EGRESS_SHIFT = 0x0300_0000, 24
"""The bits that say by which side it goes out."""
WAN, LAN, OTHER = 1, 2, 3
"""The sides; a tunnel is another one."""


def addressed(address: bytes) -> int:
    """The mark with the end of a host's address in the place of its index, for the rules that take it from there.

    Only the kernel sets it, on its last steps before the translation (`Dnat.MARKDNAT` in `realmgw.config.settings`).

    Args:
        address: 4 octets, network order; the first one is not in the mark.
    """
    return ADMITTED | int.from_bytes(address[1:], "big")


def admitted(host_index: int) -> int:
    """The mark that admits a flow to a host.

    Args:
        host_index: 1 to `HOST_MASK`.

    Raises:
        ValueError: The index does not fit, so no mark could select that host.
    """
    if not 0 < host_index <= HOST_MASK:
        raise ValueError(f"host index {host_index} is not within 1 and {HOST_MASK}")
    return ADMITTED | host_index
