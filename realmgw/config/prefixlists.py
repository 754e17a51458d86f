"""Lists of prefixes, in the file that says so or in one of their own: each problem has its line.

A file has a prefix or an address in each line; what follows `#` or `;` does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from ipaddress import IPv4Network, IPv6Network

import attrs

from realmgw.config.addresses import network
from realmgw.config.document import Problems
from realmgw.config.namelists import entries
from realmgw.config.steps import Steps
from realmgw.config.values import Network

LONGEST = 2**22  # octets
"""Of a file."""
MOST_PREFIXES = 65_536
"""In all lists of a gateway together: the kernel takes them at once, in a second or two, and again at each repair."""
AT_ONCE = 64
"""So many lines, or prefixes, are looked at between two steps."""

_Span = tuple[int, int, int]
"""First address, length, last address."""


@attrs.frozen
class Prefixes:
    """Prefixes of either family, in order, none within another."""

    ipv4: str = ""
    """As nft writes elements: joined by commas."""
    ipv6: str = ""
    """The same."""
    count: int = 0
    """How many there are."""


def reading(content: bytes, problems: Problems) -> Steps[list[Network]]:
    """Reads a file, as `namelists.entries` does."""
    what = "prefix", "prefixes", MOST_PREFIXES, "write fewer, and larger ones"
    return entries(content, problems, _line, what, at_once=AT_ONCE)


def _line(line: str) -> list[Network]:
    text = line.partition("#")[0].partition(";")[0].strip()
    return [network(text)] if text else []


def ordering(networks: list[Network]) -> Steps[Prefixes]:
    """Brings prefixes into order, and leaves out those that are within others; some at a time.

    Nothing is left in the list: to free all of it at once would take long, too.
    """
    spans: dict[int, list[Iterator[_Span]]] = {4: [], 6: []}
    while networks:
        portion = networks[-AT_ONCE:]
        del networks[-AT_ONCE:]
        for version, of_it in spans.items():
            of_it.append(_taken(sorted((_span(each) for each in portion if each.version == version), reverse=True)))
        yield None
    ipv4, first = yield from _written(IPv4Network, merge(*spans[4]))
    ipv6, second = yield from _written(IPv6Network, merge(*spans[6]))
    return Prefixes(ipv4, ipv6, first + second)


def _written(kind: type[IPv4Network | IPv6Network], spans: Iterable[_Span]) -> Steps[tuple[str, int]]:
    """Prefixes of a family as nft writes them, without those that are within others, and how many there are."""
    pieces, found = list[str](), list[str]()
    last, count = -1, 0
    for seen, (first, length, end) in enumerate(spans, 1):
        if end > last:
            found.append(str(kind((first, length))))
            last, count = end, count + 1
        if not seen % AT_ONCE and found:
            pieces.append(", ".join(found))
            found.clear()
            yield None
    return ", ".join((*pieces, *found)), count


def _taken(spans: list[_Span]) -> Iterator[_Span]:
    """What is in a list, from its end; it is not in it any more then."""
    while spans:
        yield spans.pop()


def _span(each: Network) -> _Span:
    """First address, length, last address: of those that begin alike, the largest comes first."""
    return int(each.network_address), each.prefixlen, int(each.broadcast_address)
