"""What the forwarder keeps in memory, and what its lists of names cost: no network, no gateway.

    python -m testbed.programs.forwarder_kept

Each figure is taken in a process of its own. A full cache: answers with one address, and with four, each for a name of
its own, until the first of them is forgotten; told is by how much the process has grown. A list of `NAMES` names: how
long it is read, the longest step of that, what it takes for each name, and how long a name is looked for that is not in
it, and one that is. Times are of the processor, the shortest of `TRIES` runs.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from realmgw.config import lists
from realmgw.config.dns import Forwarding, NameList
from realmgw.config.settings import Dns, DnsView, Interfaces, Pools, Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.daemon import collecting
from realmgw.dns.codec import names
from realmgw.dns.forward.answers import read
from realmgw.dns.forward.cache import Cache, pack
from realmgw.dns.forward.policy import NameSet, compiling

T = TypeVar("T")

NAMES = 100_000
"""So many are in a list."""
LOOKED_FOR = 20_000
"""So many names are looked for."""
TRIES = 5
"""So often, of which the quickest counts."""
RECORD = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc6\x33\x64"
"""An address of the name that was asked for, without its last octet."""


def resident() -> int:
    """The octets of memory that the process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def full_cache(addresses: int) -> str:
    """A cache that has as much as it may."""
    records = b"".join(RECORD + bytes((last,)) for last in range(addresses))
    head = b"\0\0\x81\x80\0\1" + addresses.to_bytes(2, "big") + bytes(4)
    cache, before, number = Cache(Forwarding().cache), resident(), 0
    while len(cache) == number:
        question = names.to_wire(f"n{number}.example.com.") + b"\0\1\0\1"
        cache.put(question + b"\0", pack(question, read(head + question + records, question)), 0.0)
        number += 1
    grown = resident() - before
    return (
        f"{len(cache)} answers with {addresses} addresses are {cache.octets / 2**20:.1f} MiB by the estimate,"
        f" and {grown / 2**20:.1f} MiB in the process"
    )


def list_of_names(path: Path) -> str:
    """A list: what it costs to be read, and to be looked into."""
    path.write_text("".join(f"0.0.0.0 a{number}.ads.example.net\n" for number in range(NAMES)))
    made = Dns(DnsView(), DnsView(), forward=Forwarding(lists=(NameList("ads", path),)))
    settings = Settings("gateway", (), Interfaces("wan", ("lan",)), Pools(()), made)
    collecting.settle()  # as the whole gateway has it
    before = resident()
    [found], steps = reading(settings)
    grown = resident() - before
    for _ in range(TRIES - 1):
        steps = min(steps, reading(settings)[1], key=max)
    other, listed = (
        [names.to_wire(f"a{number}.{zone}.") for number in range(LOOKED_FOR)]
        for zone in ("www.example.org", "ads.example.net")
    )
    return (
        f"{NAMES} names: read in {sum(steps):.2f} s, in steps of at most {max(steps) * 1000:.1f} ms; "
        f"{grown / NAMES:.0f} octets each; a name that is not in it {look(found, other):.2f} us, one that is"
        f" {look(found, listed):.2f} us"
    )


def reading(settings: Settings) -> tuple[tuple[NameSet, ...], list[float]]:
    """The lists, and how long each step of reading them took, in seconds of the processor."""
    took = list[float]()
    read_lists = _driven(lists(settings), took)
    return _driven(compiling(read_lists), took), took


def _driven(steps: Steps[T], took: list[float]) -> T:
    """What steps come to."""
    answer = None
    while True:
        begin = time.process_time()
        try:
            wanted = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            took.append(time.process_time() - begin)
        answer = wanted.call() if isinstance(wanted, Blocking) else None


def look(found: NameSet, asked: Sequence[bytes]) -> float:
    """How long one name is looked for, in microseconds."""
    times = list[float]()
    for _ in range(TRIES):
        begin = time.process_time()
        for each in asked:
            found.verdict(names.ancestors(each))
        times.append(time.process_time() - begin)
    return min(times) * 1e6 / len(asked)


def main() -> None:
    """Runs it."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        every: Iterable[tuple[Callable[[Any], str], Any]] = (
            (full_cache, 1), (full_cache, 4), (list_of_names, Path(folder) / "ads.hosts"),
        )  # fmt: skip
        for what, how in every:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                print(apart.submit(what, how).result(), flush=True)


if __name__ == "__main__":
    main()
