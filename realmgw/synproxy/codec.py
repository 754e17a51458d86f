"""The control protocol of SYN proxies: requests and responses, in octets and as values.

A request has 12 octets in network byte order: the IPv4 address (4), the port (2), the protocol (1), the operation (1),
the MSS (2), SACK permitted (1), the window scale (1). With the bit `IPV6` in the operation the IPv6 address follows,
and that of IPv4 is zero. Responses are `1` or `0` and a line feed each, in the order of the requests.

Strict both ways: what is not of this form can neither be made nor read. Where a request ends does not depend on what it
says, so one that is refused does not spoil those after it. A `del` has the key of its entry, and options of zero; a
`flush` has nothing but its address: all zeros empties the table.

Family: an address of IPv6 has 16 octets, and stands behind the request; one of IPv4 has 4, and stands within it.
"""

from __future__ import annotations

import enum
import struct
from ipaddress import ip_address

import attrs

from realmgw.errors import MalformedError

IPV6 = 0x80
"""The bit of the operation's octet that says that an address of IPv6 follows."""
LENGTH = 12  # octets
LENGTH6 = 28  # octets
"""Of a request, and of one with an address of IPv6."""
MAX_WINDOW_SCALE = 14
"""RFC 7323 section 2.3."""
TCP = 6
ANY_ADDRESS = bytes(4)
ANY_ADDRESS6 = bytes(16)
"""What a default is for; and a `flush` of everything."""

_REQUEST = struct.Struct("!4sHBBHBB")
_OPERATION_AT = 7
_ANSWERS = {b"0": False, b"1": True}
_DONE = b"1\n"


class Fault(enum.Enum):
    """What is wrong with what a peer sent, or with a request that cannot be sent; each has a sentence."""

    OPERATION = "the operation is none of flush, add, mod and del"
    ADDRESS = "an address of IPv6 with one of IPv4 beside it"
    LENGTH = "an address has neither 4 nor 16 octets, or a request neither 12 nor 28"
    PORT = "the port is not from 0 to 65535"
    PROTOCOL = "the protocol is not from 0 to 255"
    MSS = "the MSS is not from 1 to 65535"
    SACK = "SACK permitted is neither 0 nor 1"
    WINDOW_SCALE = "the window scale is not from 0 to 14"
    OPTIONS = "flush and del have no options"
    KEY = "flush has neither port nor protocol"
    ANSWER = "an answer is neither 1 nor 0 with a line feed behind it"


class ProtocolError(MalformedError):
    """Octets, or values, that the protocol does not have.

    Attributes:
        fault: What is wrong.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Operation(enum.IntEnum):
    """What is asked for."""

    FLUSH = 0x01
    """Forget all entries of the address, or all that there are."""
    ADD = 0x02
    """A new entry; fails where there is one of this key."""
    MOD = 0x04
    """The entry of this key is this one from now on, whether there was one or not."""
    DEL = 0x08
    """No entry has this key from now on; fails where none had."""


@attrs.frozen
class TcpOptions:
    """What a SYN-ACK promises."""

    mss: int
    """Octets of a segment, from 1 to 65535."""
    sack: bool
    """Selective acknowledgements are permitted (RFC 2018)."""
    window_scale: int
    """A shift, from 0 to 14 (RFC 7323)."""

    def __str__(self) -> str:
        return f"mss {self.mss}, {'sack' if self.sack else 'no sack'}, window scale {self.window_scale}"


@attrs.frozen
class Key:
    """Which connections an entry is for."""

    address: bytes
    """In network order, 4 octets or 16; all zeros: any address of its family."""
    port: int = 0
    """The destination's; 0: any."""
    protocol: int = 0
    """Its number; 0: any."""

    def __str__(self) -> str:
        port, protocol = self.port or "any", "tcp" if self.protocol == TCP else self.protocol or "any"
        return f"{ip_address(self.address)} {protocol} {port}"


@attrs.frozen
class Request:
    """One request."""

    operation: Operation
    """What is asked for."""
    key: Key
    """For which entry; in a `flush` it is only an address."""
    options: TcpOptions | None = None
    """What is answered from now on, for `add` and `mod`; None for `flush` and `del`."""


def encode(request: Request) -> bytes:
    """A request in octets.

    Raises:
        ProtocolError: The protocol has no such request.
    """
    operation, key, options = request.operation, request.key, request.options
    _check_key(request)
    if options is None:
        _check(operation in (Operation.FLUSH, Operation.DEL), Fault.MSS)
        mss, sack, scale = 0, False, 0
    else:
        _check(operation in (Operation.ADD, Operation.MOD), Fault.OPTIONS)
        _check_options(options)
        mss, sack, scale = options.mss, options.sack, options.window_scale
    if len(key.address) == len(ANY_ADDRESS6):
        fixed = _REQUEST.pack(ANY_ADDRESS, key.port, key.protocol, operation | IPV6, mss, sack, scale)
        return fixed + key.address
    return _REQUEST.pack(key.address, key.port, key.protocol, operation, mss, sack, scale)


def decode(octets: bytes) -> Request:
    """The request that these octets are, neither more nor less of them.

    Raises:
        ProtocolError: They are none.
    """
    _check(len(octets) >= LENGTH and len(octets) == _length(octets[_OPERATION_AT]), Fault.LENGTH)
    address, port, protocol, code, mss, sack, scale = _REQUEST.unpack_from(octets)
    if code & IPV6:
        _check(address == ANY_ADDRESS, Fault.ADDRESS)
        address = octets[LENGTH:]
    try:
        operation = Operation(code & ~IPV6)
    except ValueError:
        raise ProtocolError(Fault.OPERATION) from None
    if operation in (Operation.FLUSH, Operation.DEL):
        _check(not (mss or sack or scale), Fault.OPTIONS)
        options = None
    else:
        _check(sack in (0, 1), Fault.SACK)
        options = TcpOptions(mss, bool(sack), scale)
        _check_options(options)
    request = Request(operation, Key(address, port, protocol), options)
    _check_key(request)
    return request


def _length(code: int) -> int:
    """How many octets a request has whose operation's octet is this."""
    return LENGTH6 if code & IPV6 else LENGTH


def _check(is_good: bool, fault: Fault) -> None:
    if not is_good:
        raise ProtocolError(fault)


def _check_key(request: Request) -> None:
    key = request.key
    _check(len(key.address) in (len(ANY_ADDRESS), len(ANY_ADDRESS6)), Fault.LENGTH)
    _check(0 <= key.port <= 0xFFFF, Fault.PORT)
    _check(0 <= key.protocol <= 0xFF, Fault.PROTOCOL)
    _check(request.operation != Operation.FLUSH or not (key.port or key.protocol), Fault.KEY)


def _check_options(options: TcpOptions) -> None:
    _check(1 <= options.mss <= 0xFFFF, Fault.MSS)
    _check(options.sack in (False, True), Fault.SACK)
    _check(0 <= options.window_scale <= MAX_WINDOW_SCALE, Fault.WINDOW_SCALE)


class RequestReader:
    """Requests out of a stream, however it was cut. It holds what `receive` was given and `next` did not give yet."""

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0

    def receive(self, octets: bytes) -> None:
        """More of the stream came."""
        self._octets = self._octets[self._at :] + octets
        self._at = 0

    def next(self) -> Request | None:
        """The next request; None if it is not whole yet.

        Raises:
            ProtocolError: It is none. It was passed over: `next` goes on with the one behind it.
        """
        octets, begin = self._octets, self._at
        if len(octets) - begin < LENGTH:
            return None
        end = begin + _length(octets[begin + _OPERATION_AT])
        if len(octets) < end:
            return None
        self._at = end
        return decode(octets[begin:end])

    @property
    def pending(self) -> int:
        """So many octets are there that `next` did not give yet: of half a request, when it gives None."""
        return len(self._octets) - self._at


def response(is_done: bool) -> bytes:
    """What is answered to a request."""
    return _DONE if is_done else b"0\n"


class ResponseReader:
    """Responses out of a stream, however it was cut. It holds one octet at most."""

    def __init__(self) -> None:
        self._begun = b""

    def receive(self, octets: bytes) -> list[bool]:
        """The responses that these octets complete, in their order: whether it was done.

        Raises:
            ProtocolError: Something else is among them. What came before it is lost, and no use can be made of the
                stream any more.
        """
        octets = self._begun + octets
        done = octets.count(_DONE)
        if done * len(_DONE) == len(octets):  # nearly always
            self._begun = b""
            return [True] * done
        lines = octets.split(b"\n")
        self._begun = lines.pop()
        try:
            answers = [_ANSWERS[line] for line in lines]
        except KeyError:
            raise ProtocolError(Fault.ANSWER) from None
        _check(not self._begun or self._begun in _ANSWERS, Fault.ANSWER)
        return answers
