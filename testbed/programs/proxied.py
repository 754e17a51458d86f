"""What a flow costs in a gateway that keeps a SYN proxy in step, next to one that has none.

    ./testbed/bench --synproxy [--quick] [--write docs/synproxy.md]

Two gateways, loaded in turn with 10 000 flows a second. There are twice as many hosts as addresses, and they are asked
for in turn, so that each flow is a reservation, of an address that another host had before. Hosts next to each other
have other options, so that each is a request to the proxy as well, which is the worst case. The proxy is the node's
server in a process of its own, without a kernel: it answers; it ends its connection every `DROP` seconds, and is told
everything anew; or it is stopped (SIGSTOP), and goes on at the end. Then it is waited for until it is in step. The
gateway without a proxy is measured first and last in each round, which tells what two figures of the same thing differ
by; the mean of both is what others are compared with.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.load.generator import Load, Outcome
from testbed.measuring import figures
from testbed.measuring.rounds import HEAD, Contender, Rounds, Verdict, Way, losses, lost, measure, ratio, rows
from testbed.programs.in_step import KINDS, SERVING
from testbed.realm.gateway import Gateway, Subscriber
from testbed.realm.topology import PATIENCE, Testbed, TestbedError

WITHOUT, AGAIN, FOLLOWS = "no SYN proxy", "the same once more", "one that follows"
RECONNECTS, STOPPED = "one that reconnects", "one that is stopped"
TITLES = (WITHOUT, FOLLOWS, RECONNECTS, STOPPED, AGAIN)
LIMIT = 1.03
"""How much more a flow may cost with a proxy."""
HOSTS = 8192
"""Twice as many as there are addresses."""
DROP = 1.0  # seconds
"""One that reconnects ends its connection so often."""
BEHIND = 2.0  # seconds
"""In step again it has to be within this time."""
PORT = 12345
START_TIME = 120.0  # seconds
"""How long a gateway may take to start."""
Prepared = Callable[[str], contextlib.AbstractContextManager[tuple[Testbed, int]]]
"""See `bench.prepared`."""


@attrs.frozen
class Proxied(Contender):
    """A gateway with its SYN proxy, which does something meanwhile."""

    gateway: Gateway = attrs.field(kw_only=True)
    """It."""
    node: subprocess.Popen[bytes] = attrs.field(kw_only=True)
    """The proxy."""
    behind: list[float] = attrs.field(kw_only=True, factory=list)
    """How long it took after each load until it was in step, in seconds."""

    def run(self, load: Load) -> Outcome:
        """Runs a load on it, while the proxy does what the title says, and waits until that is in step.

        Args:
            load: What.
        """
        self._in_step()
        doing = {RECONNECTS: self._dropping, STOPPED: self._stopped}.get(self.title)
        with contextlib.nullcontext() if doing is None else doing():
            outcome = Contender.run(self, load)
        self.behind.append(self._in_step())
        return outcome

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        over = threading.Event()

        def drop() -> None:
            while not over.wait(DROP):
                self.node.send_signal(signal.SIGUSR1)

        thread = threading.Thread(target=drop, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        self.node.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.node.send_signal(signal.SIGCONT)

    def _in_step(self) -> float:
        """Waits until the proxy was told all, and has answered; returns for how long, in seconds."""
        begin = time.monotonic()
        while True:
            shown = self._show()
            if shown["state"] == "in step" and not shown["waiting"] and not shown["outstanding"]:
                return time.monotonic() - begin
            if time.monotonic() - begin > PATIENCE:
                raise TestbedError(f"the SYN proxy is not in step: {shown}")
            time.sleep(0.02)

    def sent(self) -> int:
        """How many requests the proxy was sent."""
        return int(self._show()["counts"]["sent"])

    def _show(self) -> dict[str, Any]:
        shown: list[dict[str, Any]] = ask(self.gateway.control, "synproxy/show")["proxies"]
        return shown[0]


@contextlib.contextmanager
def contender(prepared: Prepared, hosts: dict[str, str], pool: str, *, proxied: bool) -> Iterator[list[Contender]]:
    """One of the gateways, as those of `TITLES` that it is."""
    with prepared(f"proxied-{proxied:d}-") as (testbed, hosts_process), contextlib.ExitStack() as stack:
        made = Gateway(
            testbed,
            [subscriber(name, address, at % KINDS) for at, (name, address) in enumerate(hosts.items())],
            circular=[{"addresses": pool, "attachment": "routed"}],
            settings={"synproxy": {"proxies": [f"127.0.0.1:{PORT}"], "reconnect": 1}} if proxied else {},
        )
        names = generator.write_names(testbed.folder / "names", hosts)
        if not proxied:
            made.start(timeout=START_TIME)
            yield [Contender(each, testbed, made.pid, hosts_process, names) for each in (WITHOUT, AGAIN)]
            return
        node = testbed.spawn("gwa", [sys.executable, "-c", SERVING, str(PORT)], log="node.log")
        stack.callback(node.wait)
        stack.callback(node.kill)
        made.start(timeout=START_TIME)
        behind = list[float]()
        yield [
            Proxied(
                title, testbed, made.pid, hosts_process, names,
                beside=(node.pid,), gateway=made, node=node, behind=behind,
            )
            for title in (FOLLOWS, RECONNECTS, STOPPED)
        ]  # fmt: skip


def subscriber(name: str, address: str, kind: int) -> Subscriber:
    """A host with an MSS by which it can be told from its neighbours.

    Args:
        name: Its name.
        address: Its private address.
        kind: Which MSS.
    """
    return Subscriber(name, address, more={"SFQDN": [{"fqdn": name, "tcp_mss": 1000 + kind}]})


def judge(results: Rounds, way: Way, behind: list[float]) -> list[Verdict]:
    """The targets.

    Args:
        results: What was measured.
        way: How.
        behind: As `Proxied.behind`, of all.
    """
    verdicts = []
    for title in (FOLLOWS, RECONNECTS, STOPPED):
        factor = more(results, way, title)
        verdicts.append(Verdict(f"{title}: at most {LIMIT:g} times", f"{factor:.3f} times", factor <= LIMIT))
    proxied = [each for title in (FOLLOWS, RECONNECTS, STOPPED) for each in results[way.title, title]]
    most = max(behind)
    return [
        *verdicts,
        Verdict(f"in step again within {BEHIND:g} s", f"{most:.2f} s at most", most <= BEHIND),
        Verdict("no flow lost", losses(proxied), lost(proxied) == 0),
    ]


def more(results: Rounds, way: Way, title: str) -> float:
    """How many times the CPU of a flow without a proxy one with it spends: the median of the rounds' ratios.

    Args:
        results: What was measured.
        way: How.
        title: What the proxy does. What is without one is measured twice in a round; the mean of both counts.
    """
    of = [[each.cpu for each in results[way.title, one]] for one in (title, WITHOUT, AGAIN)]
    return float(statistics.median(one / statistics.mean(plain) for one, *plain in zip(*of, strict=True)))


def report(
    quick: bool, prepared: Prepared, hosts: Callable[[int], dict[str, str]], pool: str, way: Way
) -> tuple[str, bool]:
    """Measures it.

    Args:
        quick: For a short run.
        prepared: Makes a testbed; see `bench.prepared`.
        hosts: Gives so many names, with their private addresses.
        pool: The pool, as a prefix.
        way: How it is loaded.

    Returns:
        As for `bench.report`.
    """
    rounds, seconds = (4, 2.0) if quick else (9, 3.0)
    with contextlib.ExitStack() as stack:
        plain, proxied = (
            stack.enter_context(contender(prepared, hosts(HOSTS), pool, proxied=each)) for each in (False, True)
        )
        follows, contenders = proxied[0], [plain[0], *proxied, plain[1]]
        assert isinstance(follows, Proxied), "all of these are"
        measure([way], contenders, 1, seconds)  # their memory is settled
        before = follows.sent()
        results = measure([way], contenders, rounds, seconds)
        sent = follows.sent() - before
    started = sum(each.started for title in (FOLLOWS, RECONNECTS, STOPPED) for each in results[way.title, title])
    verdicts, null = judge(results, way, follows.behind), ratio(results, way, AGAIN, WITHOUT)
    text = "\n".join(
        [
            figures.machine()
            + f"- rounds: {rounds}, {seconds:g} s each, in alternating order, after one that does not count\n"
            + f"- the same gateway twice in a round: {null:.3f} times; of single rounds "
            + ", ".join(f"{one:.2f}" for one in _singles(results, way))
            + f"\n- requests to the proxy: {sent}, of {started} flows\n",
            figures.table(HEAD, rows(results, (way,), TITLES)),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)


def _singles(results: Rounds, way: Way) -> list[float]:
    """The lowest, the middle and the highest ratio of a round's two measurements of the same gateway."""
    pairs = zip(results[way.title, AGAIN], results[way.title, WITHOUT], strict=True)
    every = [one.cpu / other.cpu for one, other in pairs]
    return [min(every), statistics.median(every), max(every)]
