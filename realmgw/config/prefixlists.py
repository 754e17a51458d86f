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
from realmgw.config.steps import PORTION, Steps, portions
from realmgw.config.values import Network

LONGEST = 2**22  # octets
"""Of a file."""
MOST_PREFIXES = 65_536
"""In all lists of a gateway together: the kernel takes them at once, in a second or two, and again at each repair."""
AT_ONCE = 64
"""So many lines are read between two steps."""

_KINDS = {4: IPv4Network, 6: IPv6Network}


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
    """Reads a file, some lines at a time.

    A file without a prefix, and one that ends within a line, was not written whole: that is a problem.

    Args:
        content: The file.
        problems: Gets what is wrong.
    """
    found: list[Network] = []
    number = 0
    for number, line in enumerate(_lines(content), 1):
        text = line.partition("#")[0].partition(";")[0].strip()
        try:
            found += [network(text)] if text else []
        except ValueError as error:
            problems.at(number, line.index(text) + 1, str(error))
        if problems.are_many(number):
            break
        if len(found) > MOST_PREFIXES:
            problems.at(number, 1, f"there are more than {MOST_PREFIXES} prefixes: write fewer, and larger ones")
            return []
        if not number % AT_ONCE:
            yield None
    if not problems.found and not found:
        problems.at(1, 1, "there is no prefix in it: was it written whole?")
    elif not problems.found and not content.endswith(b"\n"):
        problems.at(number, 1, "the file ends within a line: was it written whole? End it with a new line")
    return found


def ordering(networks: Iterable[Network]) -> Steps[Prefixes]:
    """Brings prefixes into order, and leaves out those that are within others; some at a time."""
    spans: dict[int, list[list[tuple[int, int, int]]]] = {4: [], 6: []}
    for portion in portions(networks):
        for version, of_it in spans.items():
            of_it.append(sorted(_span(each) for each in portion if each.version == version))
        yield None
    texts = {4: list[str](), 6: list[str]()}
    for version, found in texts.items():
        last = -1
        for count, (first, length, end) in enumerate(merge(*spans[version]), 1):
            if end > last:
                found.append(str(_KINDS[version]((first, length))))
                last = end
            if not count % PORTION:
                yield None
    return Prefixes(", ".join(texts[4]), ", ".join(texts[6]), len(texts[4]) + len(texts[6]))


def _span(each: Network) -> tuple[int, int, int]:
    """First address, length, last address: of those that begin alike, the largest comes first."""
    return int(each.network_address), each.prefixlen, int(each.broadcast_address)


def _lines(content: bytes) -> Iterator[str]:
    at = 0
    while at < len(content):
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        yield content[at:end].decode("utf-8", "replace")
        at = end + 1
