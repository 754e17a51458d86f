"""Which senders are on a LAN: to those a pool address leads nowhere, whichever view they ask.

By the networks of the gateway's own LANs only. What is a private address, or one that nobody has, says nothing: a
gateway may well stand in a private network itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from realmgw.config.values import Network
from realmgw.system.endpoints import plain_address

_MOST_SPELLED = 32
"""A network whose senders begin with more different texts is told by what they all begin with."""


class Inside:
    """The LANs' networks, so that a sender who is in none of them is told by one comparison of text.

    Args:
        networks: Them.

    Attributes:
        beginnings: What the addresses of those inside begin with, as text. Others may as well: then `holds` tells.
    """

    def __init__(self, networks: Collection[Network] = ()) -> None:
        self.configure(networks)

    def configure(self, networks: Collection[Network]) -> None:
        """From now on, these are the LANs' networks."""
        self._networks = tuple(network for network in networks if not network.is_link_local)  # which is on every link
        mapped = {"::ffff:"} if any(network.version == 4 for network in self._networks) else set()
        self.beginnings = tuple({text for network in self._networks for text in _beginnings(network)} | mapped)

    def holds(self, address: str) -> bool:
        """Whether a sender, whose address is told as text, is inside."""
        if not address.startswith(self.beginnings):
            return False
        plain = plain_address(address)
        return any(plain in network for network in self._networks)


def _beginnings(network: Network) -> Iterator[str]:
    packed, length = network.network_address.packed, network.prefixlen
    if network.version == 4:
        whole, bits = divmod(length, 8)
        begin = "".join(f"{octet}." for octet in packed[:whole])
        spelled = 1 << 8 - bits
        if whole == 4 or not bits or spelled > _MOST_SPELLED:
            yield begin if whole < 4 else begin[:-1]
            return
        yield from (
            f"{begin}{octet}{'.' if whole < 3 else ''}" for octet in range(packed[whole], packed[whole] + spelled)
        )
        return
    groups = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)][: length // 16]
    if 0 in groups:  # where zeros are left out, depends on the rest of an address
        groups = groups[: groups.index(0)]
    yield "".join(f"{group:x}:" for group in groups)[: None if len(groups) < 8 else -1]
