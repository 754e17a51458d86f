"""TSIG (RFC 8945): what signed messages are checked by, and answers are signed with, whatever they come and go by.

dnspython computes what stands under a message. Everything else is decided here: which keys there are, how much of a
signature has to be there, and what is said to those whose is not right.
"""

# mypy: disable-error-code="no-untyped-call"
# (dnspython's TSIG has no types.)

from __future__ import annotations

import enum
import hmac
import struct
from collections.abc import Iterable

import attrs
from dns.name import from_wire
from dns.rdataclass import ANY
from dns.rdatatype import TSIG as TSIG_TYPE
from dns.rdtypes.ANY.TSIG import TSIG
from dns.tsig import Key, sign

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


@attrs.frozen(eq=False)
class Signer:
    """Who has signed a message, if it was right, and signs the answer."""

    key: UpdateKey
    """The key."""
    mac: bytes
    """The whole signature that belongs to the message, of which what came may be the beginning."""
    _its: Key = attrs.field(repr=False)
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
        came = self._signature
        is_late = self.fault is Fault.BADTIME
        time, other = (came.time, now.to_bytes(6, "big")) if is_late else (now, b"")
        plain = _plain(self._its, time, came, self.fault or 0, other)
        record, _ = sign(answer, self._its, plain, time, came.mac)
        return _with_record(answer, came.key, record.to_wire() or b"")


@attrs.frozen(eq=False)
class Stranger:
    """Who has signed a message, and it is not right."""

    fault: Fault
    """What is wrong."""
    _signature: Signature

    def sign(self, answer: bytes, now: int) -> bytes:
        """An answer that says so, which is not signed: he could not check it (RFC 8945 section 5.3.2)."""
        del now
        came = self._signature
        times = came.time.to_bytes(6, "big") + struct.pack("!HH", came.fudge, 0)
        said = struct.pack("!HHH", came.original_id, self.fault, 0)
        return _with_record(answer, came.key, came.algorithm + times + said)


def _with_record(answer: bytes, key: bytes, data: bytes) -> bytes:
    count = int.from_bytes(answer[10:12], "big") + 1
    record = key + RECORD.pack(Type.TSIG, ANY_CLASS, 0, len(data)) + data
    return answer[:10] + count.to_bytes(2, "big") + answer[12:] + record


def _plain(key: Key, time: int, came: Signature, error: int, other: bytes) -> TSIG:
    """A record that lacks its signature."""
    return TSIG(ANY, TSIG_TYPE, key.algorithm, time, came.fudge, b"", came.original_id, error, other)


class Keyring:
    """All keys."""

    def __init__(self) -> None:
        self._keys: dict[bytes, tuple[UpdateKey, Key]] = {}

    def configure(self, keys: Iterable[UpdateKey]) -> None:
        """From the next message on, there are these."""
        self._keys = {names.to_wire(key.name): (key, _made(key)) for key in keys}

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
        key, its = self._keys.get(came.key, (None, None))
        if key is None or its is None or its.algorithm.to_digestable() != came.algorithm:
            return Stranger(Fault.BADKEY, came)
        plain = _plain(its, came.time, came, 0, came.other)
        mac = sign(message.unsigned, its, plain, came.time)[0].mac
        if not max(SHORTEST, len(mac) // 2) <= len(came.mac) <= len(mac):
            raise BadLengthError
        if not hmac.compare_digest(mac[: len(came.mac)], came.mac):
            return Stranger(Fault.BADSIG, came)
        signer = Signer(key, mac, its, came)
        is_late = abs(now - came.time) > min(came.fudge, FUDGE)
        return attrs.evolve(signer, fault=Fault.BADTIME) if is_late else signer


def _made(key: UpdateKey) -> Key:
    return Key(from_wire(names.to_wire(key.name), 0)[0], key.grant.secret, f"{key.grant.algorithm.value}.")
