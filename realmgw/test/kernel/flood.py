"""Sends first packets that nobody waits for, at a rate, from many source addresses; a process of its own.

Run as `python -m realmgw.test.kernel.flood DESTINATION RATE SECONDS SOURCES`; it prints how many packets were sent.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

from realmgw.test.admission.packets import ipv4, udp

BURST = 0.001  # seconds
"""It sleeps as long between looks at the clock."""


def flood(destination: str, rate: int, seconds: float, sources: int) -> int:
    """Send UDP datagrams to one address.

    Args:
        destination: IPv4 address.
        rate: Packets per second.
        seconds: For how long.
        sources: How many source addresses take turns, from 198.18.0.0 on.

    Returns:
        How many packets were sent.
    """
    packet = bytearray(ipv4(17, udp(4000, 5353, b"stray"), destination=socket.inet_aton(destination)))
    first = struct.unpack("!I", socket.inet_aton("198.18.0.0"))[0]
    sent, begin = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        while (elapsed := time.monotonic() - begin) < seconds:
            while sent < elapsed * rate:
                struct.pack_into("!I", packet, 12, first + sent % sources)
                struct.pack_into("!H", packet, 20, 1024 + sent % 60000)
                raw.sendto(packet, (destination, 0))
                sent += 1
            time.sleep(BURST)
    return sent


if __name__ == "__main__":
    sys.stdout.write(f"{flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))}\n")
