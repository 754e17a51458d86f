"""TSIG (RFC 8945): what signed messages are checked by, and answers are signed with, whatever they come and go by.

Which keys there are, how much of a signature has to be there, and what is said to those whose is not right. What stands
under a message is computed from its octets: a general codec's records take ten times as long as the sum itself, and
each update has one that is checked and one that is made. dnspython is the oracle of it, in tests.
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


_AFTER = struct.Struct("!HHH")
"""Of a TSIG record behind its signature: original ID, error, length of the other data."""


def _times(time: int, fudge: int) -> bytes:
    return struct.pack("!HIH", time >> 32, time & 0xFFFFFFFF, fudge)


@attrs.frozen(eq=False)
class _Known:
    """A key of ours, as messages have it."""

    key: UpdateKey
    """It."""
    name: bytes
    """Its wire name, lower case."""
    algorithm: bytes
    """The algorithm's, likewise."""

    @classmethod
    def of(cls, key: UpdateKey) -> _Known:
        """A key that is configured."""
        return cls(key, names.to_wire(key.name), names.to_wire(f"{key.grant.algorithm.value}."))

    def mac(self, message: bytes, record: Signature, request: bytes = b"") -> bytes:
        """The whole signature of a message.

        Args:
            message: It, without a TSIG record.
            record: That record, of which the signature itself does not matter.
            request: Of an answer: the signature that the question had, as it came.
        """
        said = b"".join((
            len(request).to_bytes(2, "big") + request if request else b"",
            record.original_id.to_bytes(2, "big"), message[2:],
            self.name, struct.pack("!HI", ANY_CLASS, 0), self.algorithm, _times(record.time, record.fudge),
            struct.pack("!HH", record.error, len(record.other)), record.other,
        ))  # fmt: skip  # RFC 8945 section 4.3
        return hmac.digest(self.key.grant.secret, said, self.key.grant.algorithm.value.removeprefix("hmac-"))


@attrs.frozen(eq=False)
class Signer:
    """Who has signed a message, if it was right, and signs the answer."""

    _its: _Known = attrs.field(repr=False)
    mac: bytes
    """The whole signature that belongs to the message, of which what came may be the beginning."""
    _signature: Signature
    fault: Fault | None = None
    """What is wrong with it nevertheless."""

    @property
    def key(self) -> UpdateKey:
        """The key."""
        return self._its.key

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
        came = self._signature
        is_late = self.fault is Fault.BADTIME
        time, other = (came.time, now.to_bytes(6, "big")) if is_late else (now, b"")
        record = attrs.evolve(came, time=time, error=self.fault or 0, other=other)
        return _with_record(answer, attrs.evolve(record, mac=self._its.mac(answer, record, came.mac)))


@attrs.frozen(eq=False)
class Stranger:
    """Who has signed a message, and it is not right."""

    fault: Fault
    """What is wrong."""
    _signature: Signature

    def sign(self, answer: bytes, now: int) -> bytes:
        """An answer that says so, which is not signed: he could not check it (RFC 8945 section 5.3.2)."""
        del now
        return _with_record(answer, attrs.evolve(self._signature, mac=b"", error=self.fault, other=b""))


def _with_record(answer: bytes, said: Signature) -> bytes:
    data = b"".join((
        said.algorithm, _times(said.time, said.fudge), len(said.mac).to_bytes(2, "big"), said.mac,
        _AFTER.pack(said.original_id, said.error, len(said.other)), said.other,
    ))  # fmt: skip
    count = int.from_bytes(answer[10:12], "big") + 1
    record = said.key + RECORD.pack(Type.TSIG, ANY_CLASS, 0, len(data)) + data
    return answer[:10] + count.to_bytes(2, "big") + answer[12:] + record


class Keyring:
    """All keys."""

    def __init__(self) -> None:
        self._keys: dict[bytes, _Known] = {}

    def configure(self, keys: Iterable[UpdateKey]) -> None:
        """From the next message on, there are these."""
        self._keys = {each.name: each for each in map(_Known.of, keys)}

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
        mac = its.mac(message.unsigned, came)
        if not max(SHORTEST, len(mac) // 2) <= len(came.mac) <= len(mac):
            raise BadLengthError
        if not hmac.compare_digest(mac[: len(came.mac)], came.mac):
            return Stranger(Fault.BADSIG, came)
        is_late = abs(now - came.time) > min(came.fudge, FUDGE)
        return Signer(its, mac, came, Fault.BADTIME if is_late else None)
