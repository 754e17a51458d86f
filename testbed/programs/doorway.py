"""Leads whoever connects to an open socket, wherever that was made, to a unix socket: out of a namespace, for example.

python -m testbed.programs.doorway FILE-DESCRIPTOR PATH
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys

from testbed.realm.topology import Testbed

MOST = 65536  # octets
"""So much is taken at once."""


def open_door(testbed: Testbed, namespace: str, port: int, path: str) -> int:
    """Opens a door on this machine's loopback to a unix socket, for as long as the testbed is there.

    Args:
        testbed: It.
        namespace: What the door ends with.
        port: Where it shall be; if somebody has that, it is another one.
        path: Where it leads.

    Returns:
        Where it is.
    """
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            door.bind(("127.0.0.1", 0))
        door.listen()
        number = door.fileno()
        argv = [sys.executable, "-m", "testbed.programs.doorway", str(number), path]
        testbed.spawn(namespace, argv, log="doorway.log", pass_fds=[number])
        return int(door.getsockname()[1])


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From one end to the other, until it ends."""
    with contextlib.suppress(OSError):
        while octets := await reader.read(MOST):
            writer.write(octets)
            await writer.drain()
    writer.close()


async def _lead(door: socket.socket, path: str) -> None:
    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, outer), _carry(inner, writer))

    server = await asyncio.start_server(come, sock=door)
    await server.serve_forever()


def main() -> None:
    """Leads."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("door", type=int, help="the descriptor of a socket that listens")
    parser.add_argument("path", help="of the unix socket that it leads to")
    words = parser.parse_args()
    asyncio.run(_lead(socket.socket(fileno=words.door), words.path))


if __name__ == "__main__":
    main()
