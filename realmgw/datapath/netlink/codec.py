"""Netlink's messages and attributes, and how an answer is read to its end. Pure; headers are in host byte order.

All listings and answers of the kernel are read here (`dump`, `ask`), so that all of them take what may happen alike: a
refusal, also one at the end of a listing; things that change while they are listed (`InterruptedDumpError`: read
`undisturbed`); answers that are lost for want of room, cut off, or do not come; answers to what was asked before.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import attrs

from realmgw.errors import RealmGatewayError

# linux/netlink.h
NOOP, ERROR, DONE, OVERRUN = 1, 2, 3, 4
REQUEST, ACK, DUMP, INTERRUPTED = 0x1, 0x4, 0x300, 0x10
NESTED = 0x8000
ENOENT = 2
"""What was asked for is not there."""
READ_SIZE = 65536  # octets
"""More than the kernel gives in one read."""
ATTEMPTS = 20
"""So often something is listed that changes meanwhile."""

T = TypeVar("T")

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")
_KIND = 0x3FFF
_WORD = struct.Struct("=I").unpack_from
_REFUSAL, _ABSENT = struct.pack("=H", ERROR), struct.pack("=i", -ENOENT)


class InterruptedDumpError(RealmGatewayError):
    """Something changed while it was listed, and what was read may be half of before and half of after; ask again."""


class RefusedError(RealmGatewayError):
    """The kernel refused.

    Attributes:
        number: The error number, positive.
    """

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"netlink: the kernel refused to tell of {what} (error {number})")
        self.number = number


class Channel(Protocol):
    """What of a netlink socket is used."""

    def send(self, data: bytes, /) -> int:
        """Hand a message to the kernel."""

    def recv(self, size: int, /) -> bytes:
        """What the kernel has answered; a datagram."""


@attrs.frozen
class Message:
    """A message without its header."""

    kind: int
    """Its type."""
    flags: int
    """Its flags."""
    sequence: int
    """The sequence number of what it answers."""
    port: int
    """Of an event: the netlink port of the socket by which it was caused."""
    body: bytes
    """What follows the header."""


def messages(received: bytes, wanted: re.Pattern[bytes] | None = None) -> Iterator[Message]:
    """Every message of what one read of a socket gave.

    Args:
        received: That.
        wanted: What has to be found in it; None: nothing. What says how a listing goes on is given in any case.

    Raises:
        RealmGatewayError: It is cut off.
    """
    at, end, found, header, read = 0, len(received), _found(wanted, received, 0), _HEADER.size, _HEADER.unpack_from
    while at < end:
        length, kind, flags, sequence, port = (
            read(received, at) if end - at >= header else unpack(_HEADER, received, at)
        )
        after = at + length
        if not header <= length <= end - at:
            raise RealmGatewayError(f"netlink: a message says it has {length} octets, {end - at} are there")
        if found < after or kind <= OVERRUN or flags & INTERRUPTED:
            yield Message(kind, flags, sequence, port, received[at + header : after])
            found = _found(wanted, received, after) if found < after else found
        at = after + 3 & ~3


def _found(wanted: re.Pattern[bytes] | None, received: bytes, at: int) -> int:
    """Where something begins that is wanted: everything is if nothing is said; behind the end: nowhere."""
    if wanted is None:
        return at
    found = wanted.search(received, at)
    return len(received) + _HEADER.size if found is None else found.start()


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message to be sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def netfilter(kind: int, flags: int, sequence: int, family: int, *attributes: bytes) -> bytes:
    """A message to one of netfilter's subsystems, as `nfgenmsg` begins it."""
    return message(kind, flags, sequence, bytes((family, 0, 0, 0)) + b"".join(attributes))


def fields(message: Message) -> dict[int, bytes]:
    """The attributes of a message of netfilter, by their type; see `attributes`."""
    return dict(attributes(message.body[4:]))


def dump(
    channel: Channel,
    request: bytes,
    what: str,
    *,
    nothing: Collection[int] = (),
    wanted: re.Pattern[bytes] | None = None,
) -> Iterator[Message]:
    """Has something listed.

    Args:
        channel: Used for nothing else until the end; when that is not reached, not to be used again.
        request: The message that asks for it.
        what: It, in words.
        nothing: Refusals by these error numbers mean that there is nothing.
        wanted: See `messages`; those without it may be left out, which costs a tenth of taking them apart.

    Yields:
        Each message of the listing. What was yielded is good only if the end is reached.

    Raises:
        InterruptedDumpError: It changed meanwhile; the listing was read to its end.
        RefusedError: The kernel refused.
        RealmGatewayError: Answers were lost, are cut off, or do not come.
    """
    is_interrupted = False
    for each in _answers(channel, request, what, wanted=wanted):
        is_interrupted = is_interrupted or bool(each.flags & INTERRUPTED)
        if each.kind in (ERROR, DONE):
            error = error_of(each.body)
            if error and error not in nothing:
                raise RefusedError(what, error)
            break
        yield each
    if is_interrupted:
        raise InterruptedDumpError(f"netlink: {what} changed while they were read")


def ask(channel: Channel, request: bytes, what: str) -> Message:
    """The one message that answers a question; for an order it may be the acknowledgement.

    Args:
        channel: As for `dump`.
        request: The message that asks.
        what: What is asked for, in words.

    Raises:
        RefusedError: The kernel refused.
        RealmGatewayError: The answer was lost, is cut off, or does not come.
    """
    return _unrefused(_answer(channel, request, what), what)


def ask_all(channel: Channel, questions: Sequence[bytes], what: str) -> list[Message | None]:
    """The one message that answers each of several questions, which are put at once, each with the same sequence.

    That takes half of the time that one after the other takes; of what is not there no more is read than that.

    Args:
        channel: As for `dump`.
        questions: They; so many that their answers have room in the socket.
        what: What is asked for, in words.

    Returns:
        In their order; None: what was asked for is not there.

    Raises:
        RealmGatewayError: As `ask`.
    """
    found, asked = list[Message | None](), questions[0][8:12]
    try:
        channel.send(b"".join(questions))
        while len(found) < len(questions):
            received = channel.recv(READ_SIZE)
            is_absent = received[4:6] == _REFUSAL and received[8:12] == asked and received[16:20] == _ABSENT
            if is_absent and _WORD(received)[0] == len(received):  # which is nothing else
                found.append(None)
            else:
                found += [_there(each, what) for each in _of(received, _WORD(asked)[0], what)]
    except OSError as error:
        raise _silent(what, error) from error
    return found


def _there(said: Message, what: str) -> Message | None:
    return None if said.kind == ERROR and error_of(said.body) == ENOENT else _unrefused(said, what)


def _unrefused(said: Message, what: str) -> Message:
    if said.kind == ERROR and (error := error_of(said.body)):
        raise RefusedError(what, error)
    return said


def acknowledged(channel: Channel, orders: Collection[bytes], what: str) -> list[int]:
    """What has become of several orders that are given at once, each with the same sequence and an acknowledgement.

    Args:
        channel: As for `dump`.
        orders: They; so many that their answers have room in the socket.
        what: What they are about, in words.

    Returns:
        An error number for each, in their order; 0: it was done.

    Raises:
        RealmGatewayError: As `ask`, but for refusals.
    """
    answers = islice(_answers(channel, b"".join(orders), what), len(orders))
    return [error_of(each.body) for each in answers]


def undisturbed(read: Callable[[], T]) -> T:
    """What a listing gives that was not interrupted.

    Args:
        read: Reads it all, from the beginning.

    Raises:
        InterruptedDumpError: It was, `ATTEMPTS` times.
        RealmGatewayError: As `read` does.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except InterruptedDumpError:  # noqa: PERF203 - it costs less than one read
            continue
    return read()


def _answer(channel: Channel, request: bytes, what: str) -> Message:
    """The first message that answers a request; mostly it comes alone."""
    try:
        channel.send(request)
        received = channel.recv(READ_SIZE)
    except OSError as error:
        raise _silent(what, error) from error
    if len(received) >= _HEADER.size:
        length, kind, flags, sequence, port = _HEADER.unpack_from(received)
        if length == len(received) and kind not in (NOOP, OVERRUN) and sequence == _WORD(request, 8)[0]:
            return Message(kind, flags, sequence, port, received[_HEADER.size :])
    return next(_answers(channel, request, what, received))


def _answers(
    channel: Channel, request: bytes, what: str, received: bytes = b"", wanted: re.Pattern[bytes] | None = None
) -> Iterator[Message]:
    """Every message that answers a request, without end; those that answer others are passed over.

    Args:
        channel: As for `dump`.
        request: The message that asks.
        what: What is asked for, in words.
        received: What was read already, after the request was sent; empty: it is to be sent.
        wanted: See `messages`.
    """
    _, _, _, sequence, _ = unpack(_HEADER, request)
    try:
        if not received:
            channel.send(request)
        while True:
            yield from _of(received or channel.recv(READ_SIZE), sequence, what, wanted)
            received = b""
    except OSError as error:
        raise _silent(what, error) from error


def _of(received: bytes, sequence: int, what: str, wanted: re.Pattern[bytes] | None = None) -> Iterator[Message]:
    """What of one read answers that sequence."""
    for each in messages(received, wanted):
        if each.kind == OVERRUN:
            raise RealmGatewayError(f"netlink: answers about {what} were lost")
        if each.sequence == sequence and each.kind != NOOP:
            yield each


def _silent(what: str, error: OSError) -> RealmGatewayError:
    return RealmGatewayError(f"netlink: the kernel does not tell of {what}: {error}")


def portion(channel: Channel) -> bytes:
    """What the kernel gives next, as it is; nothing if it has no more at present."""
    try:
        return channel.recv(READ_SIZE)
    except (BlockingIOError, TimeoutError):
        return b""


def unpack(form: struct.Struct, data: bytes, at: int = 0) -> tuple[int, ...]:
    """Numbers that stand in a row.

    Raises:
        RealmGatewayError: They are cut off.
    """
    if len(data) - at < form.size:
        raise RealmGatewayError(f"netlink: {form.size} octets are wanted, {max(0, len(data) - at)} are there")
    return form.unpack_from(data, at)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type (without its flag bits) and value of each attribute.

    Raises:
        RealmGatewayError: One is cut off.
    """
    at, end, header, read = 0, len(data), _ATTRIBUTE.size, _ATTRIBUTE.unpack_from
    while at < end:
        length, kind = read(data, at) if end - at >= header else unpack(_ATTRIBUTE, data, at)  # which refuses
        if not header <= length <= end - at:
            raise RealmGatewayError(f"netlink: an attribute says it has {length} octets, {end - at} are there")
        yield kind & _KIND, data[at + header : at + length]
        at += length + 3 & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded; its length does not count the padding."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(aligned(length) - length)


def nested(kind: int, *values: bytes) -> bytes:
    """Attributes within an attribute."""
    return attribute(kind | NESTED, b"".join(values))


def find(data: bytes, *path: int) -> bytes:
    """The value of an attribute within attributes, by their types from the outside in; empty where there is none.

    Raises:
        RealmGatewayError: One is cut off.
    """
    for kind in path:
        data = dict(attributes(data)).get(kind, b"")
    return data


def name(kind: int, value: str) -> bytes:
    """An attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")


def number(value: bytes) -> int:
    """A number as netfilter writes it, in network order; 0 where there is none."""
    return int.from_bytes(value, "big")


def text(value: bytes) -> str:
    """A name as the kernel writes it."""
    return value.rstrip(b"\0").decode(errors="replace")


def error_of(body: bytes) -> int:
    """An error message and the end of a dump both begin with a negative error number, or 0; here it is positive.

    Raises:
        RealmGatewayError: There is none.
    """
    return -unpack(_NUMBER, body)[0]


def aligned(length: int) -> int:
    """A length with its padding."""
    return (length + 3) & ~3
