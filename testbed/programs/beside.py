"""The frame of programs that measure how long the Internet waits while a LAN keeps the gateway busy.

The whole gateway in its testbed: clients in the Internet ask for names of hosts and come, `RATE` a second. What the LAN
does beside that, and of which kinds, is the program's own; the kinds are measured in turn, so that what changes on the
machine meanwhile changes all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs

from testbed.load import generator
from testbed.load.generator import RAW_SOURCES, Load, Outcome
from testbed.measuring import cpu_noise
from testbed.programs.answers import HOSTS, MOST, POOL
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, Testbed

RATE = 500
"""Clients a second that come from the Internet."""


@attrs.frozen(kw_only=True)
class Round:
    """What came of one round."""

    outcome: Outcome
    """Of those who come from the Internet."""
    share: float
    """Of a core, that the gateway used."""

    @property
    def others(self) -> float:
        """What others used of the machine, in cores."""
        return self.outcome.others


R = TypeVar("R", bound=Round)


def options(says: str, seconds: float) -> argparse.ArgumentParser:
    """What can be said on the command line.

    Args:
        says: The program's docstring.
        seconds: So long a round is, if nothing is said.
    """
    parser = argparse.ArgumentParser(description=says.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=seconds, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    return parser


@contextlib.contextmanager
def realm(prefix: str) -> Iterator[tuple[Testbed, dict[str, str]]]:
    """A testbed whose hosts answer, and their addresses by their names.

    Args:
        prefix: Of its namespaces.
    """
    generator.build()
    with Testbed(prefix, hosts=HOSTS, clients=2, routed=[POOL["addresses"]], sources=[RAW_SOURCES]) as testbed:
        generator.start_hosts(testbed)
        yield testbed, {f"h{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}


def gateway(testbed: Testbed, hosts: dict[str, str], **dns: object) -> Gateway:
    """The gateway, which lends addresses to everybody.

    Args:
        testbed: Where.
        hosts: Its subscribers.
        dns: What its configuration says of DNS beside where it listens.
    """
    subscribers = [Subscriber(name, address, limit=MOST) for name, address in hosts.items()]
    settings = {
        "policy": {"system_load": list[str](), "challenges": dict[str, bool]()},
        "dns": {"wan": {"listen": [GATEWAY]}, "lan": {"listen": [GATEWAY_LAN]}, **dns},
    }
    return Gateway(testbed, subscribers, circular=[POOL], settings=settings)


def in_turn(
    kinds: Iterable[str], asked: argparse.Namespace, testbed: Testbed, hosts: Mapping[str, str],
    measure: Callable[[Load, str], R],
) -> dict[str, list[R]]:  # fmt: skip
    """The rounds of each kind.

    Args:
        kinds: Their titles.
        asked: What was said on the command line.
        testbed: Where.
        hosts: Their addresses, by name.
        measure: Makes a round of a kind, under this load.
    """
    listed = generator.write_names(testbed.folder / "names", hosts)
    load = Load(names=listed, rate=RATE, seconds=asked.seconds, warm_seconds=0.5, ports=8, retries=1)
    results: dict[str, list[R]] = {title: [] for title in kinds}
    for _ in range(asked.rounds):
        for title, rounds in results.items():
            rounds.append(cpu_noise.quietest(partial(measure, load, title)))
    return results


def waits(rounds: Sequence[Round]) -> list[str]:
    """How long clients waited for names, p50, p99 and p99.9 in microseconds, as medians of rounds; and flows lost."""
    times = [each.outcome.resolve for each in rounds]
    figures = [f"{statistics.median(getattr(each, name) for each in times):.0f}" for name in ("p50", "p99", "p999")]
    return [*figures, str(sum(each.outcome.started - each.outcome.ok for each in rounds))]
