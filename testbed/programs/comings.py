"""Hosts that come and go while the Internet comes to others: from when on each is reached, and whether anybody is lost.

    python -m testbed.programs.comings [--seconds N] [--coming N] [--rate N] [--write docs/leases.md]

In the frame of `testbed.programs.beside`: on the LAN somebody registers `COMING` hosts a second by signed updates, and
takes each back a second later. As soon as an update is answered, somebody in the Internet asks for the host's name and
sends a datagram to what he is told; it counts until the host's answer is there. Meanwhile `RATE` others a second come
to hosts that stay.
"""

from __future__ import annotations

import argparse
import base64
import json
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import dns.message
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from testbed.load import generator
from testbed.load.generator import Load, Outcome
from testbed.measuring import cpu_noise, figures
from testbed.measuring.rounds import Verdict
from testbed.programs import beside
from testbed.programs.registering import NETWORK, PORT, SECRET, UPDATE
from testbed.realm.gateway import ZONE
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, Testbed, client_address

COMING = 200
"""Hosts a second that come, and as many that go."""
STAY = 1.0  # seconds
"""For so long each is there."""
RATE = 2000
"""Flows a second of others."""
LIMIT = 0.1  # seconds
"""The target: 99 of 100 hosts are reached so soon after their update was sent."""
PATIENCE = 2.0  # seconds
"""After that a host was not reached."""
PROBE, MARK = struct.Struct("!III16s"), 0x72676D77
"""What is sent to a host, and what it answers with its address in it: `testbed/load/probe.h`."""
ASKER = client_address(1)
"""Who asks and comes."""


@attrs.frozen
class Pace:
    """How much happens."""

    seconds: float = 60.0
    """For so long."""
    coming: int = COMING
    """Hosts a second that come, and as many that go."""
    rate: int = RATE
    """Flows a second of others."""


@attrs.define
class Arrival:
    """A host that comes."""

    sent: float
    """When its update was sent: monotonic, in seconds."""
    registered: float = 0.0
    """So long until that was answered, in seconds."""
    reached: float = 0.0
    """So long until the host's own answer was there."""


@attrs.define
class Visits:
    """What came of the hosts."""

    arrivals: dict[int, Arrival] = attrs.Factory(dict)
    """Them, by number."""
    refused: Counter[str] = attrs.Factory(Counter)
    """What was answered else than it should be."""
    gone: int = 0
    """How many were taken back."""

    def times(self, what: Callable[[Arrival], float]) -> list[float]:
        """How long something took of those that were reached, in order."""
        return sorted(what(each) for each in self.arrivals.values() if each.reached)

    @property
    def lost(self) -> int:
        """Hosts that were not reached."""
        return sum(not each.reached for each in self.arrivals.values())


def updates(how_many: int) -> tuple[list[bytes], list[bytes]]:
    """Signed updates by which hosts come, and those by which they go; a host's number is the message's ID."""
    key = dns.tsig.Key("dhcp", SECRET, "hmac-sha256")

    def made(number: int, *, comes: bool) -> bytes:
        message = dns.update.UpdateMessage(ZONE, keyring=key, id=number & 0xFFFF)
        if comes:
            message.add(f"r{number}", 300, "A", str(NETWORK[number + 1]))
        else:
            message.delete(f"r{number}")
        return message.to_wire()

    return [made(each, comes=True) for each in range(how_many)], [made(each, comes=False) for each in range(how_many)]


class Visitor:
    """Registers hosts and visits them, in one thread.

    Args:
        testbed: Where.
        coming: Hosts a second.
    """

    def __init__(self, testbed: Testbed, coming: int) -> None:
        self._pace = coming
        with testbed.inside("test_gwa"):
            self._coming, self._going = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        with testbed.inside("public"):
            self._asking, self._knocking = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for each in (self._coming, self._going):
            each.connect((GATEWAY_LAN, PORT))
        for each in (self._asking, self._knocking):
            each.bind((ASKER, 0))
        self._asking.connect((GATEWAY, 53))
        self._all = {
            self._coming: self._registered,
            self._going: self._taken_back,
            self._asking: self._told,
            self._knocking: self._answered,
        }
        self._found = Visits()

    def close(self) -> None:
        """Gives the sockets back."""
        for each in self._all:
            each.close()

    def run(self, coming: Sequence[bytes], going: Sequence[bytes]) -> Visits:
        """All hosts come and go.

        Args:
            coming: Updates, by the numbers of hosts.
            going: The same.
        """
        begin, come, gone, count = time.monotonic(), 0, 0, len(coming)
        end = begin + count / self._pace + STAY + PATIENCE
        while (now := time.monotonic()) < end:
            while come < min(count, (now - begin) * self._pace):
                self._found.arrivals[come] = Arrival(time.monotonic())
                self._coming.send(coming[come])
                come += 1
            while gone < min(count, (now - begin - STAY) * self._pace):
                self._going.send(going[gone])
                gone += 1
            for ready in select.select(list(self._all), [], [], 0.0005)[0]:
                self._all[ready](*ready.recvfrom(4096))
        return self._found

    def _registered(self, answer: bytes, _: object) -> None:
        number, rcode = int.from_bytes(answer[:2], "big"), answer[3] & 15
        if rcode != dns.rcode.NOERROR:
            self._found.refused[f"update: {dns.rcode.to_text(dns.rcode.Rcode(rcode))}"] += 1
            return
        arrival = self._found.arrivals[number]
        arrival.registered = time.monotonic() - arrival.sent
        query = dns.message.make_query(f"r{number}.{ZONE}", "A", id=number)
        self._asking.send(query.to_wire())

    def _taken_back(self, answer: bytes, _: object) -> None:
        self._found.gone += answer[3] & 15 == dns.rcode.NOERROR

    def _told(self, answer: bytes, _: object) -> None:
        message = dns.message.from_wire(answer)
        addresses = [each.address for rrset in message.answer for each in rrset if each.rdtype == dns.rdatatype.A]
        if not addresses:
            self._found.refused[f"query: {dns.rcode.to_text(message.rcode())}"] += 1
            return
        self._knocking.sendto(PROBE.pack(MARK, message.id, 0, bytes(16)), (addresses[0], generator.PORT))

    def _answered(self, answer: bytes, _: object) -> None:
        _, number, _, host = PROBE.unpack(answer)
        if not host.endswith(NETWORK[number + 1].packed):
            self._found.refused["datagram: another host"] += 1
            return
        arrival = self._found.arrivals[number]
        arrival.reached = arrival.reached or time.monotonic() - arrival.sent


@attrs.frozen
class Came:
    """What came of it all."""

    visits: Visits
    """Of the hosts that come."""
    outcome: Outcome
    """Of those who come to others."""
    share: float
    """Of a core, that the gateway used."""


def run(pace: Pace, prefix: str = "comings-") -> Came:
    """Runs it, in a testbed of its own.

    Args:
        pace: How much; the ID of an update is a host's number, so 65 535 hosts come at most.
        prefix: Of the testbed.
    """
    with beside.realm(prefix) as (testbed, hosts):
        keys = testbed.folder / "update.keys"
        keys.write_text(json.dumps({"keys": {"dhcp": {"secret": base64.b64encode(SECRET).decode()}}}))
        keys.chmod(0o600)
        generator.answer_for(testbed, str(NETWORK), testbed.hosts[0])
        names = generator.write_names(testbed.folder / "names", hosts)
        load = Load(names=names, rate=pace.rate, seconds=pace.seconds, warm_seconds=1.0, ports=32, retries=1)
        with beside.gateway(testbed, hosts, update=UPDATE) as gateway, ThreadPoolExecutor(1) as pool:
            # What was signed before the gateway started it does not believe.
            visitor = Visitor(testbed, pace.coming)
            coming, going = updates(min(int(pace.seconds * pace.coming), 0xFFFF))
            with cpu_noise.Watch((gateway.pid,)) as watch:
                before, begin = cpu_noise.time_of(gateway.pid), time.monotonic()
                visiting = pool.submit(visitor.run, coming, going)
                outcome = generator.run_flows(testbed, load)
                visits = visiting.result()
                share = (cpu_noise.time_of(gateway.pid) - before) / (time.monotonic() - begin)
            visitor.close()
    return Came(visits, attrs.evolve(outcome, others=watch.others), share)


def judge(came: Came, pace: Pace) -> list[Verdict]:
    """Whether the targets are met."""
    reached, lost = came.visits.times(lambda each: each.reached), came.outcome.started - came.outcome.ok
    p99 = reached[int(len(reached) * 0.99)] if reached else float("inf")
    return [
        Verdict(f"99 of 100 hosts are reached within {LIMIT * 1000:.0f} ms of their update", f"{p99 * 1000:.1f} ms",
                p99 <= LIMIT),
        Verdict("every host that comes is reached", f"{came.visits.lost} of {len(came.visits.arrivals)} were not",
                not came.visits.lost),
        Verdict(f"of {pace.rate} flows a second to others none is lost", f"{lost} of {came.outcome.started}", not lost),
    ]  # fmt: skip


def report(came: Came, pace: Pace) -> str:
    """The tables, in Markdown."""
    rows = []
    for title, times in (
        ("update to its answer", came.visits.times(lambda each: each.registered)),
        ("update to the host's own answer", came.visits.times(lambda each: each.reached)),
    ):
        points = [
            times[min(int(len(times) * each), len(times) - 1)] * 1000 if times else 0.0 for each in (0.5, 0.99, 1)
        ]
        rows.append([title, *(f"{each:.1f} ms" for each in points)])
    resolve = came.outcome.resolve
    rows.append(["queries of others", *(figures.milliseconds(each) for each in (resolve.p50, resolve.p99)), ""])
    verdicts = [[each.target, each.figure, figures.met(each.met)] for each in judge(came, pace)]
    told = ", ".join(f"{count} x {what}" for what, count in came.visits.refused.items()) or "nothing"
    ends = (
        f"{pace.coming} hosts a second came and went for {pace.seconds:.0f} s, {came.visits.gone} were taken back;"
        f" answered else than it should be: {told}. The gateway used {came.share:.2f} of a core, others"
        f" {came.outcome.others:.2f}."
    )
    return "\n".join((
        figures.table(["", "median", "99 %", "longest"], rows),
        figures.table(["target", "figure", "met"], verdicts),
        figures.machine(),
        ends,
    ))  # fmt: skip


def main() -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for so long hosts come [%(default)s]")
    parser.add_argument("--coming", type=int, default=COMING, help="hosts a second that come, and go [%(default)s]")
    parser.add_argument("--rate", type=int, default=RATE, help="flows a second to others [%(default)s]")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into their place in this document")
    options = parser.parse_args()

    def measured() -> tuple[str, bool]:
        pace = Pace(options.seconds, options.coming, options.rate)
        came = run(pace)
        return report(came, pace), all(each.met for each in judge(came, pace))

    return figures.publish("comings", measured, options.write, "comings")


if __name__ == "__main__":
    raise SystemExit(main())
