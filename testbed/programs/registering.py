"""How many hosts are registered in a second by dynamic updates, and how long the Internet waits for names meanwhile.

    python -m testbed.programs.registering

In the frame of `testbed.programs.beside`, on the LAN there is somebody who registers hosts that nobody knew, by signed
updates over UDP, as a DHCP server does. Each is on disk and in the kernel when it is answered. In turn: nobody
registers anything; some do, and as many as are answered.
"""

from __future__ import annotations

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
from testbed.load.generator import Load
from testbed.measuring import cpu_noise
from testbed.programs import beside
from testbed.programs.beside import Round
from testbed.realm.gateway import ZONE
from testbed.realm.topology import GATEWAY_LAN, Testbed

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


@attrs.frozen(kw_only=True)
class Registered(Round):
    """What came of one round, and of the updates in it."""

    rate: float
    """How many updates were answered in a second."""
    refused: int
    """How many got something else than NOERROR, or nothing."""


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


def measure(testbed: Testbed, registrar: Registrar, process: int, load: Load, title: str) -> Registered:
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
    outcome = attrs.evolve(outcome, others=watch.others)
    return Registered(outcome=outcome, rate=done / seconds, refused=refused, share=used / seconds)


def row(title: str, rounds: Sequence[Registered]) -> str:
    """A line of the table: medians of the rounds."""
    rate, core = (statistics.median(getattr(each, name) for each in rounds) for name in ("rate", "share"))
    refused = sum(each.refused for each in rounds)
    figures = beside.waits(rounds)
    return " | ".join(("", title, f"{rate:.0f}", str(refused), *figures, f"{core:.2f}", "")).strip()


def main() -> None:
    """Runs it."""
    arguments = beside.options(__doc__, 4.0).parse_args()
    with beside.realm("registering-") as (testbed, hosts):
        keys = testbed.folder / "update.keys"
        keys.write_text(json.dumps({"keys": {"dhcp": {"secret": base64.b64encode(SECRET).decode()}}}))
        keys.chmod(0o600)
        testbed.run("gwa", ["ip", "route", "replace", str(NETWORK), "dev", "lan0"])
        with beside.gateway(testbed, hosts, update=UPDATE) as gateway:
            cpu_noise.set_apart(True, gateway.pid)
            one = partial(measure, testbed, Registrar(), gateway.pid)
            results = beside.in_turn(KINDS, arguments, testbed, hosts, one)
        print("| | updates/s | not done | p50 us | p99 us | p99.9 us | flows lost | cores |")
        for title, rounds in results.items():
            print(row(title, rounds), flush=True)


if __name__ == "__main__":
    main()
