"""A crowd of clients behind one resolver: each visit resolves a name there and connects to whatever was answered.

    python -m testbed.player.crowd PLAN

PLAN is a file with a `Plan` in JSON. It runs in the namespace that it is started in and prints one line of JSON: a
`Played`, with the visits in the order in which they ended. Visits begin at random times, each by a client, for a name
and with a pause before its connection that are chosen by chance; the same plan makes the same choices.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import dns.exception

from testbed.load import generator
from testbed.player.asking import Asker, UnresolvedError
from testbed.player.sender import FILES, HASTE, connect_tcp
from testbed.player.template import TCP, Place
from testbed.realm.topology import Testbed, TestbedError

SERVED, WRONG = "served", "wrong host"
"""How a visit ends that reached a host."""
TIMEOUTS = (5.0, 5.0)
"""Of the stub, in seconds: those of the C library, with one resolver."""
CONNECTING = 3.0  # seconds
"""So long a client waits for its connection; the kernel sends its first packet again after a second."""
NAP = 0.01  # seconds
"""The pieces in which is waited, to notice pauses."""
ENDS: dict[int | None, str] = {
    None: "broken off",
    errno.ECONNREFUSED: "refused by RST",
    errno.ECONNRESET: "broken off",
    errno.EHOSTUNREACH: "refused by ICMP",
    errno.ENETUNREACH: "refused by ICMP",
}
"""How the system says that somebody does not want us -> what we call it."""


@attrs.frozen
class Plan:
    """What a crowd does."""

    server: str
    """Whom the clients ask."""
    clients: tuple[str, ...]
    """Their addresses."""
    hosts: dict[str, str]
    """Name -> the private host behind it."""
    rate: float
    """Visits in a second."""
    seconds: float
    """How long visits begin."""
    pauses: tuple[float, ...]
    """From an answer to the connection, in seconds; one is chosen for each visit."""
    begin: float
    """When it begins, on the monotonic clock."""
    seed: int
    """Of chance."""


@attrs.frozen
class Visit:
    """What became of one."""

    when: float
    """Since the beginning, in seconds."""
    pause: float
    """From the answer to the connection, in seconds."""
    end: str
    """`SERVED`, `WRONG`, or why it came to nothing."""
    resolving: float | None = None
    """From the question to the address, in seconds."""
    connecting: float | None = None
    """From the first packet to the connection, in seconds."""

    @property
    def added(self) -> float:
        """How long resolving and connecting took, without the client's own pause, in seconds."""
        return (self.resolving or 0.0) + (self.connecting or 0.0) if self.end == SERVED else math.nan


@attrs.frozen
class Played:
    """What became of a plan."""

    visits: tuple[Visit, ...]
    """All of them."""
    pause: float
    """The longest time that somebody who only waited was kept from running, in seconds."""


async def visit(asker: Asker, client: str, name: str, host: str, when: float, pause: float) -> Visit:
    """One visit. Never raises for what the network does: that is in the result.

    Args:
        asker: How the client asks its resolver.
        client: Its address.
        name: For which name.
        host: The private host behind it.
        when: Since the beginning, in seconds.
        pause: Before the connection, in seconds.
    """
    begin, resolving = time.monotonic(), None
    try:
        found = await asker.resolve(name, timeouts=TIMEOUTS)
        resolving = time.monotonic() - begin
        if pause:
            await asyncio.sleep(pause)
        begin = time.monotonic()
        greeting, reached = await asyncio.wait_for(
            connect_tcp(Place(found.address, generator.PORT, TCP), Place(client, 0, TCP)), CONNECTING
        )
        return Visit(when, pause, SERVED if greeting == host else WRONG, resolving, reached - begin)
    except (TimeoutError, asyncio.TimeoutError):
        return Visit(when, pause, "no answer" if resolving is None else "no connection", resolving)
    except UnresolvedError as error:
        return Visit(when, pause, str(error))
    except dns.exception.DNSException as error:
        return Visit(when, pause, f"malformed: {type(error).__name__}")
    except OSError as error:
        return Visit(when, pause, ENDS.get(error.errno, f"OSError {error.errno}"), resolving)


class _Pauses:
    """Notices when it is kept from running."""

    longest = 0.0

    async def watch(self) -> None:
        """For ever."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(NAP)
            self.longest = max(self.longest, time.monotonic() - before - NAP)


async def play(plan: Plan) -> Played:
    """All visits of a plan.

    Args:
        plan: Which.
    """
    pauses = _Pauses()
    watching = asyncio.create_task(pauses.watch())
    chance = random.Random(plan.seed)
    askers = {client: Asker(plan.server, source=client) for client in plan.clients}
    names, done = list(plan.hosts), []

    async def one(when: float, client: str, name: str, pause: float) -> None:
        done.append(await visit(askers[client], client, name, plan.hosts[name], when, pause))

    tasks, when = [], chance.expovariate(plan.rate)
    while when < plan.seconds:
        chosen = chance.choice(plan.clients), chance.choice(names), chance.choice(plan.pauses)
        await asyncio.sleep(max(0.0, plan.begin + when - time.monotonic()))
        tasks.append(asyncio.create_task(one(when, *chosen)))
        when += chance.expovariate(plan.rate)
    await asyncio.gather(*tasks)
    watching.cancel()
    return Played(tuple(done), pauses.longest)


class Crowd:
    """A crowd in a testbed."""

    def __init__(self, testbed: Testbed, plan: Plan) -> None:
        """Starts it.

        Args:
            testbed: A running testbed.
            plan: What it does.
        """
        self._plan = plan
        path = testbed.folder / f"crowd-{plan.server}.json"
        write(plan, path)
        argv = [sys.executable, "-m", "testbed.player.crowd", str(path)]
        self._process = testbed.spawn("public", argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self) -> Played:
        """Waits for its end.

        Raises:
            TestbedError: It failed.
        """
        output, words = self._process.communicate(timeout=self._plan.seconds + generator.GRACE)
        if self._process.returncode:
            raise TestbedError(f"the crowd failed: {words.decode(errors='replace')[-2000:]}")
        visits, pause = json.loads(output)
        return Played(tuple(Visit(*each) for each in visits), pause)


def write(plan: Plan, path: Path) -> None:
    """Writes a plan into a file.

    Args:
        plan: What.
        path: Where.
    """
    path.write_text(json.dumps(attrs.asdict(plan)))


def read(path: Path) -> Plan:
    """Reads a plan.

    Args:
        path: Where `write` wrote it.
    """
    words = json.loads(path.read_text())
    return Plan(**{**words, "clients": tuple(words["clients"]), "pauses": tuple(words["pauses"])})


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.player.crowd", description="Clients behind one resolver.")
    parser.add_argument("plan", type=Path)
    options = parser.parse_args(argv)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, HASTE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    print(json.dumps(attrs.astuple(asyncio.run(play(read(options.plan))))))


if __name__ == "__main__":
    main()
