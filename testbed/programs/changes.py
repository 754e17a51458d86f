"""Changes of a gateway's files, for a storm of reloads: subscribers that come and go, and what is wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from testbed.programs.bench import FIRST_HOST, POOL
from testbed.realm.gateway import ZONE, Gateway

CHANGING = IPv4Address("10.140.0.1")
"""Private addresses of subscribers that come and go."""
FURTHER_POOL = "100.64.48.0/24"
"""A prefix that comes and goes."""
POLICIES = (
    "{system_load: []}",
    "{system_load: [{threshold_min: 0, threshold_max: 100, fqdn_new: 0.4, sfqdn_new: 0.3, sfqdn_reuse: 0.1}]}",
    "{max_claims: 100000, refuse_udp: servfail, audit: [challenges, rate]}",
    "{challenges: {log_untrusted: true}, groups: [{nodes: [203.0.113.0/24, 198.51.100.53], initial_reputation: 0.9}]}",
)
"""Policies that refuse none of the flows."""


def entry(name: str, address: IPv4Address, *, limit: int = 1000, services: Iterable[str] = ()) -> str:
    """A subscriber's text, in the established style.

    Args:
        name: Its own name, with the final dot; it is a service for everything.
        address: Its private address.
        limit: How many claims it may have.
        services: Flow mappings of further services.
    """
    lines = [f"    - {{{each}}}" for each in (f"fqdn: {name}", *services)]
    return (
        f"{name}:\n  ID: {{FQDN: [{name}], IPV4: [{address}]}}\n  CIRCULARPOOL: [{{max: {limit}}}]\n  SFQDN:\n"
        + "".join(f"{line}\n" for line in lines)
    )


def seven_names(number: int, limit: int = 1000) -> str:
    """A subscriber with seven names, the first of which, and its address, are as in `bench.subscribers`."""
    name = f"s{number}.{ZONE}"
    ports = {"www": "6, port: 80", "ssh": "6, port: 22", "sip": "17, port: 5060", "dns": "17, port: 53",
             "tls": "6, port: 443", "perf": "6, port: 5001"}  # fmt: skip
    services = [f"fqdn: {label}.{name}, protocol: {what}" for label, what in ports.items()]
    return entry(name, FIRST_HOST + number, limit=limit, services=services)


class Changes:
    """Random changes of a gateway's files, most of them good.

    Args:
        gateway: Whose.
        seed: What the changes follow from.
    """

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self._random = random.Random(seed)
        self._main = gateway.config
        self._good_main = gateway.config.read_text()
        self._folder = gateway.config.parent / "subscribers.d"
        self._hosts: dict[int, str] = {}
        self._weights: dict[Callable[[], None], int] = {
            self._add: 30, self._remove: 25, self._alter: 20, self._no_yaml: 5, self._contradict: 5, self._stray: 5,
            self._bad_main: 4, self._restart: 3, self._settings: 8, self._pool: 1,
        }  # fmt: skip
        self.made: Counter[str] = Counter()

    def make(self) -> None:
        """Change something."""
        [change] = self._random.choices(list(self._weights), list(self._weights.values()))
        self.made[change.__name__.strip("_")] += 1
        self._main.write_text(self._good_main)
        change()

    def mend(self) -> None:
        """All files are good again."""
        self._main.write_text(self._good_main)
        self._write()

    def _write(self, more: str = "") -> None:
        (self._folder / "changing.yaml").write_text("".join(self._hosts.values()) + more)

    def _add(self) -> None:
        for _ in range(self._random.randint(1, 20)):
            number = self._random.randrange(2000)
            self._hosts[number] = entry(f"c{number}.{ZONE}", CHANGING + number)
        self._write()

    def _remove(self) -> None:
        for number in self._random.sample(list(self._hosts), min(len(self._hosts), self._random.randint(1, 20))):
            del self._hosts[number]
        self._write()

    def _alter(self) -> None:
        for number in self._random.sample(list(self._hosts), min(len(self._hosts), 5)):
            port = self._random.randint(1, 65535)
            service = f"fqdn: p.c{number}.{ZONE}, protocol: 6, port: {port}"
            self._hosts[number] = entry(f"c{number}.{ZONE}", CHANGING + 2000 + port, services=[service])
        self._write()

    def _no_yaml(self) -> None:
        self._write("c: [\n")

    def _contradict(self) -> None:
        self._write(entry(f"s1.{ZONE}", CHANGING + 100_000))

    def _stray(self) -> None:
        self._write(entry("elsewhere.example.org.", CHANGING + 100_001))

    def _bad_main(self) -> None:
        self._main.write_text(self._good_main.replace("wan0", "[wan0, wan1]"))

    def _restart(self) -> None:
        self._main.write_text(self._good_main + "admission: {queue: 7}\n")

    def _settings(self) -> None:
        linger = self._random.randint(2, 20)
        policy = self._random.choice(POLICIES)
        self._main.write_text(self._good_main + f"allocation: {{linger: {linger}}}\npolicy: {policy}\n")

    def _pool(self) -> None:
        self._main.write_text(
            self._good_main.replace(POOL, f"{POOL}, attachment: routed}}, {{addresses: {FURTHER_POOL}")
        )
