"""A million forged answers towards questions that are under way, and what becomes of those who asked.

    python -m testbed.programs.forged

The forger has all that one can have who does not see the queries' contents: the resolver's address, and for each query
its port, at once. `QUESTIONS` at a time are asked for; each gets `FORGED` answers, with any ID but its own, or with its
own and letters of other cases. The true answer is to be had by TCP only, after that. An answer with the forged address
that reaches who asked would be one that was believed.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import socket
import threading
from collections.abc import Iterator

from testbed.programs.forwarded import HOST, OURS, RECORD, RESOLVER, gateway, working

HERE = "localhost."
"""A name that the gateway answers itself: by its answer it is known that it runs."""

ROUNDS, QUESTIONS, FORGED = 40, 256, 100
TRUE, FALSE = RECORD, RECORD[:-1] + b"\x42"
"""The record that is right, and the one that the forger wants to be believed."""
PATIENCE = 30.0  # seconds
"""For so long anything is waited for."""
HEAD, ANSWER = b"\1\0\0\1\0\0\0\0\0\0", b"\x81\x80\0\1\0\1\0\0\0\0"
"""Flags and counts of a query and of an answer."""


def question_of(message: bytes) -> bytes:
    """Name, type and class, as they stand in a message."""
    return message[12 : message.index(b"\0", 12) + 5]


def forged(query: bytes) -> Iterator[bytes]:
    """Answers that are none: to nearly all it is the ID that is wrong, to the others only the letters."""
    question, own = question_of(query), int.from_bytes(query[:2], "big")
    swapped = question[:-4].swapcase() + question[-4:]
    for number in range(FORGED):
        if number % 10:
            wrong = (own + random.randrange(1, 0x10000)) % 0x10000
            yield wrong.to_bytes(2, "big") + ANSWER + question + FALSE
        else:
            yield query[:2] + ANSWER + swapped + FALSE


def tell(server: socket.socket) -> None:
    """Gives true answers by TCP, in a process of its own: the forger is never idle."""
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_tell, args=(connection,), daemon=True).start()


def _tell(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection, connection.makefile("rwb") as stream:
        while length := stream.read(2):
            query = stream.read(int.from_bytes(length, "big"))
            answer = query[:2] + ANSWER + question_of(query) + TRUE
            stream.write(len(answer).to_bytes(2, "big") + answer)
            stream.flush()


def one_round(number: int, resolver: socket.socket, client: socket.socket) -> tuple[int, list[bytes]]:
    """Asks, forges, and collects: how many were forged, and what those who asked were told."""
    asked = set[bytes]()
    for place in range(QUESTIONS):
        label = f"f{number}-{place}".encode()
        question = bytes((len(label),)) + label + b"\7example\3com\0\0\1\0\1"
        client.sendto(place.to_bytes(2, "big") + HEAD + question, (HOST, OURS))
        asked.add(question)
    count = 0
    while asked:  # what comes a second time, since nothing has come in time, is forged an answer to as well
        query, source = resolver.recvfrom(4096)
        asked.discard(question_of(query).lower())
        for answer in forged(query):
            resolver.sendto(answer, source)
            count += 1
    told = [client.recv(4096) for _ in range(QUESTIONS)]
    resolver.setblocking(False)  # what came again after that: it is of no round that follows
    with contextlib.suppress(BlockingIOError):
        while True:
            resolver.recv(4096)
    resolver.settimeout(PATIENCE)
    return count, told


def main() -> None:
    """Runs it."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    with (
        socket.socket(type=socket.SOCK_DGRAM) as resolver,
        socket.create_server((HOST, RESOLVER)) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        resolver.bind((HOST, RESOLVER))
        for each in (resolver, client):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            each.settimeout(PATIENCE)
        telling = multiprocessing.get_context("spawn").Process(target=tell, args=(server,), daemon=True)
        telling.start()
        with working(gateway, RESOLVER, port=OURS, name=HERE):
            rounds = [one_round(number, resolver, client) for number in range(ROUNDS)]
        telling.terminate()
        telling.join()
    told = [each for _, answers in rounds for each in answers]
    true, false = (sum(each.endswith(record) for each in told) for record in (TRUE, FALSE))
    print(f"{sum(count for count, _ in rounds)} forged answers to {len(told)} questions")
    print(f"{true} were told what is true, {false} what was forged, {len(told) - true - false} that there is no answer")


if __name__ == "__main__":
    main()
