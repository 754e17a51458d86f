"""What it costs a gateway to keep a SYN proxy in step, and how soon one that was stopped is in step again.

    python -m testbed.programs.in_step --write docs/synproxy.md

The allocation and the SYN proxies' service on one reactor, and the node's server in another process, by TCP: `RATE`
reservations a second begin, each of an address that another host had before, and end `HELD` later; the proxy is to be
told of each. In turn: no proxy; one, where hosts are alike, so that there is nothing to be told; one that follows; one
that ends its connection every `DROP` seconds, and is told everything anew; one that is stopped (SIGSTOP) all the
while, which goes on at the end (SIGCONT); and no proxy once more, which tells how far apart the same is from the same.
Each is waited for then. How late the turns of the reactor are is told as well: nothing may wait. What one costs is
compared with no proxy in the same round. The order is another one in each round, and every second time the one before
the other way round; before all of them is a time that does not count, since memory that is new costs more.
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import LoopingCall, deferLater, react

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.external import Synproxy
from realmgw.config.values import Peer
from realmgw.daemon import collecting
from realmgw.subscribers.model import Host, Service, Terms
from realmgw.synproxy.codec import TCP
from realmgw.synproxy.service import SynproxyService
from realmgw.system.endpoints import Endpoint
from testbed.measuring import figures
from testbed.measuring.rounds import rotated

RATE = 10_000
"""Reservations a second."""
HELD = 0.3  # seconds
"""How long each stands."""
HOSTS, KINDS = 8000, 101
"""More than there are addresses; and so many different options, so that whoever gets an address has others."""
POOL = ip_network("100.64.16.0/20")
"""These."""
TURN = 0.01  # seconds
"""So often some begin, and some end."""
DROP = 2.0  # seconds
"""One that reconnects ends its connection so often."""
PATIENCE = 20.0  # seconds
"""How long it may take to be in step."""
RESOLVER, HERE = "198.51.100.53", ip_address("127.0.0.1")
WITHOUT, ALIKE, FOLLOWS = "no SYN proxy", "one, hosts alike", "one that follows"
RECONNECTS, STOPPED, AGAIN = "one that reconnects", "one that is stopped", "no SYN proxy, again"
CASES = (WITHOUT, ALIKE, FOLLOWS, RECONNECTS, STOPPED, AGAIN)
SERVING = """
import signal, sys
from twisted.internet import reactor
from realmgw.synnode.entries import Entries
from realmgw.synnode.server import ControlServer
server = ControlServer(Entries(1 << 20), lambda: None, lambda _: True, 8, reactor)
signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(server.close))
reactor.listenTCP(int(sys.argv[1]), server, interface="127.0.0.1")
reactor.run()
"""
"""The node's server, without a kernel."""


@attrs.frozen
class Round:
    """What came of one."""

    cost: float
    """Processor time of the process for each reservation, in microseconds."""
    late: float
    """99 % of the reactor's turns were not later than so many milliseconds."""
    refused: int
    """Queries that were given no address."""
    sent: int
    """Requests that the proxy was sent meanwhile."""
    behind: float
    """How long it took then until it was in step, in seconds."""


class Scene:
    """An allocation, the service, and a node's server.

    Args:
        reactor: Twisted's.
        port: Where the node's server listens.
        node: Its process.
    """

    def __init__(self, reactor: Any, port: int, node: subprocess.Popen[bytes]) -> None:
        self._reactor, self._node = reactor, node
        self._proxies = (Peer(Endpoint(HERE, port)),)
        pools = settings.Pools((settings.PoolPrefix(POOL, settings.Attachment.ROUTED),))
        zone = settings.Zone("example.org.", (settings.NameServer("ns.example.net."),), "hostmaster.example.org.")
        interfaces = settings.Interfaces("wan", ("lan",))
        self._settings = settings.Settings("gateway", (zone,), interfaces, pools, settings.Dns())
        self.allocator = Allocator(self._settings.allocation, (POOL,), now=reactor.seconds())
        terms = [Terms(protocol=TCP, port=80, tcp_mss=1000 + kind, timeout=HELD) for kind in range(KINDS)]
        hosts = (Host(at, f"h{at}.example.org.", (10 << 24 | at).to_bytes(4, "big")) for at in range(1, HOSTS + 1))
        self._various = [Service(host.name, host, terms[host.index % KINDS]) for host in hosts]
        self._alike = [attrs.evolve(each, terms=terms[0]) for each in self._various]
        self._services = self._various
        self._service = SynproxyService(self._settings, self.allocator, reactor, succeed, lambda _: None)
        self._asked = self._refused = 0

    @inlineCallbacks
    def measure(self, case: str, seconds: float) -> Generator[Deferred[Any], Any, Round]:
        """Makes a round."""
        self._services = self._alike if case == ALIKE else self._various
        how = Synproxy(proxies=() if case in (WITHOUT, AGAIN) else self._proxies)
        self._service.configure(attrs.evolve(self._settings, synproxy=how))
        yield self._in_step(len(how.proxies))
        yield self._flows(1.0)
        yield self._in_step(len(how.proxies))
        if case == STOPPED:
            self._node.send_signal(signal.SIGSTOP)
        dropping = LoopingCall(self._node.send_signal, signal.SIGUSR1)
        if case == RECONNECTS:
            dropping.start(DROP, now=False)
        try:
            before, refused, asked = self._sent(), self._refused, self._asked
            begin = time.process_time()
            late = yield self._flows(seconds)
            cost = (time.process_time() - begin) / (self._asked - asked) * 1e6
            told = self._sent() - before
        finally:
            self._node.send_signal(signal.SIGCONT)
            if dropping.running:
                dropping.stop()
        behind = yield self._in_step(len(how.proxies))
        return Round(cost, late, self._refused - refused, told, behind)

    @inlineCallbacks
    def run(self, seconds: float, rounds: int) -> Generator[Deferred[Any], Any, str]:
        """All rounds, and what is told of them."""
        collecting.settle()  # as the whole gateway has it
        yield self._service.startService()
        found: dict[str, list[Round]] = {case: [] for case in CASES}
        yield self._flows(seconds)
        for number in range(rounds):
            for case in rotated(CASES, number):
                found[case].append((yield self.measure(case, seconds)))
        yield self._service.stopService()
        base = [each.cost for each in found[WITHOUT]]
        table = figures.table(HEAD, [row(case, done, base) for case, done in found.items()])
        return f"{table}\n{figures.machine()}\n- {rounds} rounds of {seconds:g} s, {RATE} reservations a second"

    @inlineCallbacks
    def _flows(self, seconds: float) -> Generator[Deferred[Any], Any, float]:
        """Reservations begin and end for so long; returns how late turns are, as of `Round.late`."""
        late, due = list[float](), self._reactor.seconds()

        def turn() -> None:
            nonlocal due
            now = self._reactor.seconds()
            late.append(1000 * max(0.0, now - due))
            due = now + TURN
            self.allocator.expire(now=now)
            for _ in range(round(RATE * TURN)):
                self._asked += 1
                asked = self._services[self._asked % HOSTS]
                answer = self.allocator.ask(asked, RESOLVER, self._asked, now=now)
                self._refused += not isinstance(answer, bytes)

        for _ in range(round(seconds / TURN)):
            turn()
            yield deferLater(self._reactor, TURN)
        return statistics.quantiles(late, n=100)[98]

    @inlineCallbacks
    def _in_step(self, proxies: int) -> Generator[Deferred[Any], Any, float]:
        """Waits until so many proxies were told all, and have answered; returns for how long, in seconds."""
        begin = self._reactor.seconds()
        while len(self._service.show()) != proxies or any(
            each["state"] != "in step" or each["waiting"] or each["outstanding"] for each in self._service.show()
        ):
            if self._reactor.seconds() - begin > PATIENCE:
                raise SystemExit(f"not in step: {self._service.show()}")
            yield deferLater(self._reactor, TURN)
        return float(self._reactor.seconds() - begin)

    def _sent(self) -> int:
        shown: list[Any] = self._service.show()
        return sum(each["counts"]["sent"] for each in shown)


HEAD = [
    "SYN proxy",
    "us/reservation",
    "more than without",
    "turns late, p99",
    "refused",
    "requests sent",
    "in step after",
]
"""Titles of the table."""


def row(case: str, rounds: Sequence[Round], base: Sequence[float]) -> list[str]:
    """A line of the table.

    Args:
        case: Which.
        rounds: Its rounds.
        base: What a reservation costs without a proxy in each of these rounds, in microseconds.
    """
    cost = statistics.median(each.cost for each in rounds)
    more = statistics.median(each.cost - without for each, without in zip(rounds, base, strict=True))
    share = statistics.median(each.cost / without - 1 for each, without in zip(rounds, base, strict=True))
    return [
        case,
        f"{cost:.1f} ({', '.join(f'{each.cost:.1f}' for each in rounds)})",
        "" if case == WITHOUT else f"{more:.1f} us, {share:.0%}",
        f"{statistics.median(each.late for each in rounds):.1f} ms",
        str(sum(each.refused for each in rounds)),
        f"{statistics.median(each.sent for each in rounds):.0f}",
        "" if case in (WITHOUT, AGAIN) else f"{max(each.behind for each in rounds):.2f} s at most",
    ]


def measured(seconds: float, rounds: int) -> str:
    """Runs it on the reactor; returns what is told of it.

    Args:
        seconds: Of each round.
        rounds: Of each case.
    """
    with socket.create_server((str(HERE), 0)) as free:
        port = free.getsockname()[1]
    found = list[str]()

    def main(reactor: Any) -> Deferred[Any]:
        return Scene(reactor, port, node).run(seconds, rounds).addCallback(found.append)

    command = [sys.executable, "-c", SERVING, str(port)]
    node = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        react(main)
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        node.kill()
        node.wait()
    return found[0]


def main() -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=len(CASES), help="of each case")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    return figures.publish(
        "in_step", lambda: (measured(options.seconds, options.rounds), True), options.write, "in_step"
    )


if __name__ == "__main__":
    raise SystemExit(main())
