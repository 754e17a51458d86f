"""Which packets are followed, and the table that has the kernel tell of them: pure, text.

It has an owner, the socket by which it was placed: so it ends with the process, whatever becomes of that. Its chains
stand before all others, and only packets that are meant pay for more than one comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.settings import Network

RATE = 50  # packets a second
"""More are not followed: each makes some twenty messages."""
FIRST = -500
"""The priority of the chains: before connection tracking, and before what puts fragments together."""
_IP = {4: "ip", 6: "ip6"}
BEGIN = "followed"
"""The chain in which the kernel is told to follow a packet: the first thing that it tells of any is met there."""


@attrs.frozen
class Match:
    """Which packets are meant: by what they carry when they arrive, before any translation."""

    sources: tuple[Network, ...]
    """They come from one of these."""
    destinations: tuple[Network, ...] = ()
    """And go to one of these; empty: anywhere."""

    def __bool__(self) -> bool:
        """Whether there can be one."""
        return next(self.rules(), None) is not None

    def rules(self) -> Iterator[str]:
        """What matches them in rules, one for each family that there is."""
        for version, ip in _IP.items():
            sources, destinations = (_of(some, version) for some in (self.sources, self.destinations))
            if sources and (destinations or not self.destinations):
                to = f" {ip} daddr {destinations}" if destinations else ""
                yield f"{ip} saddr {sources}{to}"


def _of(networks: Iterable[Network], version: int) -> str:
    """Those of a family, as a set; empty: there are none."""
    found = [str(each) for each in networks if each.version == version]
    return f"{{ {', '.join(found)} }}" if found else ""


def trace_table(table: str) -> str:
    """The name of the table.

    Args:
        table: The name of the main one.
    """
    return f"{table}_trace"


def commands(table: str, match: Match) -> str:
    """What places the table, where there is none of its name.

    Args:
        table: The name of the main one.
        match: Which packets are meant.
    """
    chains = "".join(
        f"\tchain {name} {{\n\t\ttype filter hook {hook} priority {FIRST}; policy accept;\n"
        + "".join(f"\t\t{rule} goto {BEGIN}\n" for rule in match.rules())
        + "\t}\n"
        for name, hook in (("arriving", "prerouting"), ("own", "output"))
    )
    return (
        f"table inet {trace_table(table)} {{\n\tflags owner\n"
        f'\tcomment "{table}: has packets followed for a while; ends with its process"\n'
        f"\tchain {BEGIN} {{\n\t\tlimit rate {RATE}/second burst {RATE} packets meta nftrace set 1\n\t}}\n{chains}}}\n"
    )
