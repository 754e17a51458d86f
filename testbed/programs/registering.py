"""How many hosts are registered in a second by dynamic updates, and how long the Internet waits for names meanwhile.

    python -m testbed.programs.registering

The whole gateway in its testbed: clients in the Internet ask for names of hosts and come, `RATE` a second; on the LAN
there is somebody who registers hosts that nobody knew, by signed updates over UDP, as a DHCP server does. Each is on
disk and in the kernel when it is answered. In turn: nobody registers anything; some do, and as many as are answered.
"""

from __future__ import annotations

import argparse
import base64
import json
import select
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_network
from itertools import count

import attrs
import dns.rcode
import dns.tsig
import dns.update

from testbed.load import generator
from testbed.load.generator import RAW_SOURCES, Load, Outcome
from testbed.measuring import cpu_noise
from testbed.programs.answers import HOSTS, MOST, POOL
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, Testbed

RATE = 500
"""Clients a second that come from the Internet."""
PORT = 5335
"""Where updates come in."""
NETWORK = ip_network("10.0.0.0/8")
"""What is registered lies here, on the LAN."""
SECRET = bytes(range(32))
"""The key."""
UPDATE = {"listen": [f"{GATEWAY_LAN}:{PORT}"], "key_file": "update.keys", "rate": 100_000, "most": 100_000}
"""As many as come."""
KINDS = {"nobody registers": 0, "100 a second": 100, "one after the other": 1, "as many as 32 get answers": 32}
"""How many updates a second, of the one that has a rate; of the others, how many wait for their answers."""
PACED = "100 a second"
"""The one that has a rate."""
READY = 2500
"""So many updates a second are signed before a round begins."""


@attrs.frozen
class Round:
    """What came of one round."""

    outcome: Outcome
    """Of those who come from the Internet."""
    registered: float
    """How many updates were answered in a second."""
    refused: int
    """How many got something else than NOERROR, or nothing."""
    share: float
    """Of a core, that the gateway used."""

    @property
    def others(self) -> float:
        """What others used of the machine, in cores."""
        return self.outcome.others


class Registrar:
    """Registers hosts, each of them once."""

    def __init__(self) -> None:
        self._numbers = count()
        self._key = dns.tsig.Key("dhcp", SECRET, "hmac-sha256")

    def _signed(self, how_many: int) -> Iterator[bytes]:
        for ident in range(how_many):
            number = next(self._numbers)
            message = dns.update.UpdateMessage(ZONE, keyring=self._key, id=ident)
            message.absent(f"r{number}")
            message.add(f"r{number}", 300, "A", str(NETWORK[number + 1]))
            yield message.to_wire()

    def register(self, ready: Sequence[bytes], rate: float, window: int, seconds: float) -> tuple[int, int]:
        """Sends updates for some seconds.

        Args:
            ready: They, each with its place among them as its ID.
            rate: So many a second; 0: whenever one may.
            window: So many wait for their answers at most.
            seconds: For how long; answers are waited for one second longer.

        Returns:
            How many were done, and how many were not.
        """
        waiting, done, sent, begin = set[int](), 0, 0, time.monotonic()
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.connect((GATEWAY_LAN, PORT))
            while (now := time.monotonic() - begin) < seconds or (waiting and now < seconds + 1.0):
                due = len(ready) if not rate else int(now * rate)
                while now < seconds and sent < min(due, len(ready)) and len(waiting) < window:
                    udp.send(ready[sent])
                    waiting.add(sent)
                    sent += 1
                while select.select([udp], [], [], 0.001)[0]:
                    answer = udp.recv(65535)
                    waiting.discard(int.from_bytes(answer[:2], "big"))
                    done += answer[3] & 15 == dns.rcode.NOERROR
                    if not rate:
                        break
        return done, sent - done

    def ready(self, how_many: int) -> list[bytes]:
        """Updates that are signed now."""
        return list(self._signed(how_many))


def measure(testbed: Testbed, registrar: Registrar, load: Load, process: int, title: str) -> Round:
    """One round."""
    wanted, seconds = KINDS[title], load.seconds + 0.5
    rate, window = (wanted, READY) if title == PACED else (0, wanted)
    ready = registrar.ready(int(READY * seconds) if wanted else 0)
    with cpu_noise.Watch((process,)) as watch, ThreadPoolExecutor(1) as pool:
        before = cpu_noise.time_of(process)
        registering = pool.submit(testbed.call, "test_gwa", registrar.register, ready, rate, window, seconds)
        outcome = generator.run_flows(testbed, load)
        done, refused = registering.result()
        used = cpu_noise.time_of(process) - before
    return Round(attrs.evolve(outcome, others=watch.others), done / seconds, refused, used / seconds)


def row(title: str, rounds: Sequence[Round]) -> str:
    """A line of the table: medians of the rounds."""
    times = [each.outcome.resolve for each in rounds]
    figures = [f"{statistics.median(getattr(each, name) for each in times):.0f}" for name in ("p50", "p99", "p999")]
    lost = sum(each.outcome.started - each.outcome.ok for each in rounds)
    rate, core = (statistics.median(getattr(each, name) for each in rounds) for name in ("registered", "share"))
    refused = sum(each.refused for each in rounds)
    return " | ".join(("", title, f"{rate:.0f}", str(refused), *figures, str(lost), f"{core:.2f}", "")).strip()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    arguments = parser.parse_args()
    generator.build()
    with Testbed("registering-", hosts=HOSTS, clients=2, routed=[POOL["addresses"]], sources=[RAW_SOURCES]) as testbed:
        hosts = {f"h{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        subscribers = [Subscriber(name, address, limit=MOST) for name, address in hosts.items()]
        settings = {
            "policy": {"system_load": list[str](), "challenges": dict[str, bool]()},
            "dns": {"wan": {"listen": [GATEWAY]}, "lan": {"listen": [GATEWAY_LAN]}, "update": UPDATE},
        }
        keys = testbed.folder / "update.keys"
        keys.write_text(json.dumps({"keys": {"dhcp": {"secret": base64.b64encode(SECRET).decode()}}}))
        keys.chmod(0o600)
        testbed.run("gwa", ["ip", "route", "replace", str(NETWORK), "dev", "lan0"])
        generator.start_hosts(testbed)
        with Gateway(testbed, subscribers, circular=[POOL], settings=settings) as gateway:
            cpu_noise.set_apart(True, gateway.pid)
            registrar, names = Registrar(), generator.write_names(testbed.folder / "names", hosts)
            load = Load(names=names, rate=RATE, seconds=arguments.seconds, warm_seconds=0.5, ports=8, retries=1)
            results = {title: list[Round]() for title in KINDS}
            for _ in range(arguments.rounds):
                for title in KINDS:
                    one = partial(measure, testbed, registrar, load, gateway.pid, title)
                    results[title].append(cpu_noise.quietest(one))
        print("| | updates/s | not done | p50 us | p99 us | p99.9 us | flows lost | cores |")
        for title, rounds in results.items():
            print(row(title, rounds), flush=True)


if __name__ == "__main__":
    main()
