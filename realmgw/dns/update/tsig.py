"""TSIG (RFC 8945): what signed messages are checked by, and answers are signed with, whatever they come and go by.

What is decided here: which keys there are, how much of a signature has to be there, and what is said to those whose is
not right. The sum itself is `hmac`'s; what it is made of is written out, since each update is checked and each answer
signed, and dnspython takes twelve times as long for both (170 µs, and 14).
"""

from __future__ import annotations

import enum
import hmac
import struct
from collections.abc import Iterable

import attrs

from realmgw.config.updates import UpdateKey
from realmgw.dns.codec import names
from realmgw.dns.codec.wire import ANY_CLASS, RECORD, Type
from realmgw.dns.update.message import Message, Signature

FUDGE = 300  # seconds
"""For so long before and after it was signed a message is believed, unless it says that it is valid for less."""
SHORTEST = 10  # octets
"""Of a signature, which must be half of the whole one as well (RFC 8945 section 5.2.2.1)."""
_FIXED = struct.Struct("!HI")  # CLASS, TTL
_TIMES = struct.Struct("!HIH")  # time signed (48 bits), fudge
_END = struct.Struct("!HHH")  # original ID, error, length of other data


class Fault(enum.IntEnum):
    """What is wrong with a signature, by the number that a TSIG record says it with (RFC 8945 section 3)."""

    BADSIG = 16
    """It is not right."""
    BADKEY = 17
    """There is no such key."""
    BADTIME = 18
    """It was right at another time."""


class BadLengthError(Exception):
    """A signature has a length that none may have."""


@attrs.frozen(eq=False)
class _Secret:
    """A key, and what all sums that are made with it have in common."""

    key: UpdateKey
    """It."""
    algorithm: bytes
    """The algorithm's wire name, lower case."""
    _digest: str
    """The hash's name, as `hashlib` has it."""
    _variables: bytes
    """Name, class and TTL of a TSIG record of it, and the algorithm."""

    @classmethod
    def of(cls, key: UpdateKey) -> _Secret:
        """A key."""
        word = key.grant.algorithm.value
        algorithm = names.to_wire(f"{word}.")
        variables = names.to_wire(key.name) + _FIXED.pack(ANY_CLASS, 0) + algorithm
        return cls(key, algorithm, word.removeprefix("hmac-"), variables)

    def mac(self, message: bytes, original_id: int, times: bytes, error: int, other: bytes, came: bytes = b"") -> bytes:
        """The sum of a message (RFC 8945 section 4.3).

        Args:
            message: It, without a TSIG record.
            original_id: The ID that is signed, in place of its own.
            times: See `_times`.
            error: What the record says is wrong.
            other: Its other data.
            came: Of an answer: the signature of what it answers, as it came; empty: there was none.
        """
        former = len(came).to_bytes(2, "big") + came if came else b""
        octets = (former, original_id.to_bytes(2, "big"), message[2:], self._variables, times,
                  error.to_bytes(2, "big"), len(other).to_bytes(2, "big"), other)  # fmt: skip
        return hmac.digest(self.key.grant.secret, b"".join(octets), self._digest)


@attrs.frozen(eq=False)
class Signer:
    """Who has signed a message, if it was right, and signs the answer."""

    key: UpdateKey
    """The key."""
    mac: bytes
    """The whole signature that belongs to the message, of which what came may be the beginning."""
    _its: _Secret = attrs.field(repr=False)
    _signature: Signature
    fault: Fault | None = None
    """What is wrong with it nevertheless."""

    @property
    def time(self) -> int:
        """When the message was signed, in seconds since 1970."""
        return self._signature.time

    @property
    def until(self) -> int:
        """From then on it is not believed any more."""
        return self._signature.time + min(self._signature.fudge, FUDGE) + 1

    def sign(self, answer: bytes, now: int) -> bytes:
        """An answer with its signature; one to a message of another time says what time it is here."""
        came, error = self._signature, self.fault or 0
        is_late = self.fault is Fault.BADTIME
        time, other = (came.time, now.to_bytes(6, "big")) if is_late else (now, b"")
        times = _times(time, came.fudge)
        mac = self._its.mac(answer, came.original_id, times, error, other, came.mac)
        return _with_record(answer, came, times, mac, error, other)


@attrs.frozen(eq=False)
class Stranger:
    """Who has signed a message, and it is not right."""

    fault: Fault
    """What is wrong."""
    _signature: Signature

    def sign(self, answer: bytes, now: int) -> bytes:
        """An answer that says so, which is not signed: he could not check it (RFC 8945 section 5.3.2)."""
        del now
        return _with_record(
            answer, self._signature, _times(self._signature.time, self._signature.fudge), b"", self.fault
        )


def _times(time: int, fudge: int) -> bytes:
    """When it was signed, in seconds since 1970, and for how many seconds that is valid, as a TSIG record has it."""
    return _TIMES.pack(time >> 32, time & 0xFFFFFFFF, fudge)


def _with_record(answer: bytes, came: Signature, times: bytes, mac: bytes, error: int, other: bytes = b"") -> bytes:
    """An answer with a TSIG record behind it, of the key and the algorithm of what came."""
    count = int.from_bytes(answer[10:12], "big") + 1
    size, rest = len(mac).to_bytes(2, "big"), _END.pack(came.original_id, error, len(other))
    data = b"".join((came.algorithm, times, size, mac, rest, other))
    record = came.key + RECORD.pack(Type.TSIG, ANY_CLASS, 0, len(data)) + data
    return answer[:10] + count.to_bytes(2, "big") + answer[12:] + record


class Keyring:
    """All keys."""

    def __init__(self) -> None:
        self._keys: dict[bytes, _Secret] = {}

    def configure(self, keys: Iterable[UpdateKey]) -> None:
        """From the next message on, there are these."""
        self._keys = {names.to_wire(key.name): _Secret.of(key) for key in keys}

    def check(self, message: Message, now: int) -> Signer | Stranger | None:
        """Who has sent a message.

        Args:
            message: It.
            now: The present, in seconds since 1970.

        Returns:
            Who has signed it, and whether it was right; None if nobody has.

        Raises:
            BadLengthError: The signature is too short, or too long: FORMERR.
        """
        came = message.signature
        if came is None:
            return None
        its = self._keys.get(came.key)
        if its is None or its.algorithm != came.algorithm:
            return Stranger(Fault.BADKEY, came)
        mac = its.mac(message.unsigned, came.original_id, _times(came.time, came.fudge), 0, came.other)
        if not max(SHORTEST, len(mac) // 2) <= len(came.mac) <= len(mac):
            raise BadLengthError
        if not hmac.compare_digest(mac[: len(came.mac)], came.mac):
            return Stranger(Fault.BADSIG, came)
        is_late = abs(now - came.time) > min(came.fudge, FUDGE)
        return Signer(its.key, mac, its, came, Fault.BADTIME if is_late else None)
