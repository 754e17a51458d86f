"""One TCP connection, as fast as it goes: what it carries from a LAN to the WAN."""

from __future__ import annotations

import os
import socket
import threading
import time

from testbed.realm.topology import ROUTER_WAN, Testbed

PORT = 5001
"""Where the connection goes."""
AT_ONCE = 1 << 20  # octets
"""So much is sent, or read, by one call."""


def octets(testbed: Testbed, seconds: float) -> float:
    """How many octets a second one connection from the first host to the router carries.

    Args:
        testbed: Whose gateway is on the way.
        seconds: For so long.
    """
    with testbed.inside("router"):
        server = socket.create_server((ROUTER_WAN, PORT))
    received = [0]

    def receive() -> None:
        room = bytearray(AT_ONCE)
        os.sched_setaffinity(0, cores[:1])
        with server, server.accept()[0] as connection:
            while count := connection.recv_into(room):
                received[0] += count

    # One core sends, and does what is done with packets on the way; the other one reads.
    cores = sorted(os.sched_getaffinity(0))
    receiver = threading.Thread(target=receive)
    receiver.start()
    os.sched_setaffinity(0, cores[-1:])
    try:
        with testbed.inside("test_gwa"), socket.socket() as client:
            client.bind((testbed.hosts[0], 0))
            client.connect((ROUTER_WAN, PORT))
            begin, data = time.monotonic(), bytes(AT_ONCE)
            while time.monotonic() - begin < seconds:
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            receiver.join()
            return received[0] / (time.monotonic() - begin)
    finally:
        os.sched_setaffinity(0, cores)
