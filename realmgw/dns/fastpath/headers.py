"""The tables of the fast path: what usual queries look like, and how their answers begin and end.

A usual query has flags out of RD, AD and CD (RFC 6840 section 5.7), one question, and nothing else or one additional
record, which then must be an OPT record of the root, without options or with one: a COOKIE of 8 or 24 octets.
"""

from __future__ import annotations

import struct

import attrs

from realmgw.dns.codec import cookies
from realmgw.dns.codec.wire import AA, AD, CD, COOKIE, DO, QR, RD, TC, Rcode, Type

A_IN = b"\0\1\0\1"
"""Type and class of the most usual question."""
OPT_BEGINS = b"\0\0\x29"
"""The root's name and the type OPT."""
LEFT = frozenset(map(int, (Type.OPT, Type.TSIG, Type.NXNAME, Type.AXFR, Type.IXFR)))
"""Types that are never usual."""
KINDS = {kind.to_bytes(2, "big") + A_IN[2:]: kind for kind in range(1, 512) if kind not in LEFT}
"""The type asked for by what follows the name: type and class. Of types that are rare it tells nothing."""
KINDS_WITH_OPT = {asked + OPT_BEGINS: kind for asked, kind in KINDS.items()}
"""The same, with the beginning of an OPT record behind it."""

_HEADER = struct.Struct("!HHHHH")  # flags, and the four counts
_OPT = struct.Struct("!BHHHHH")  # root, TYPE, size, extended RCODE and version, flags, RDLENGTH
_OPT_REST = struct.Struct("!HHH")  # extended RCODE and version, flags, RDLENGTH
_OPTION = struct.Struct("!HH")  # OPTION-CODE, OPTION-LENGTH
_FLAGS = tuple(rd | ad | cd for rd in (0, RD) for ad in (0, AD) for cd in (0, CD))


@attrs.frozen
class Header:
    """How the answers to queries with certain flags begin: flags and counts, without the ID."""

    with_opt: int
    """How many OPT records the query has, and so the answer."""
    answer: bytes
    """Here it is: one record."""
    nxdomain: bytes
    """There is no such name; the SOA is said."""
    nodata: bytes
    """There is no such type; the SOA is said."""
    refused: bytes
    """It is not ours."""
    truncated: bytes
    """Come by TCP."""
    slipped: bytes
    """Come by TCP, from whoever it is."""
    badcookie: bytes
    """Come with the right cookie."""
    found: bytes
    """Here are the zone's own records, or the service pool's addresses; flags only."""


def _header(flags: int, with_opt: int) -> tuple[bytes, tuple[bytes, int, Header]]:
    """Flags and counts of a query; those of an answer with one record, the number of OPT records, and the rest."""
    copied = QR | flags & (RD | CD)
    header = Header(
        with_opt,
        answer=_HEADER.pack(copied | AA, 1, 1, 0, with_opt),
        nxdomain=_HEADER.pack(copied | AA | Rcode.NXDOMAIN, 1, 0, 1, with_opt),
        nodata=_HEADER.pack(copied | AA, 1, 0, 1, with_opt),
        refused=_HEADER.pack(copied | Rcode.REFUSED, 1, 0, 0, with_opt),
        truncated=_HEADER.pack(copied | AA | TC, 1, 0, 0, with_opt),
        slipped=_HEADER.pack(copied | TC, 1, 0, 0, with_opt),
        badcookie=_HEADER.pack(copied | Rcode.BADCOOKIE & 0xF, 1, 0, 0, with_opt),
        found=(copied | AA).to_bytes(2, "big"),
    )
    return _HEADER.pack(flags, 1, 0, 0, with_opt), (header.answer, with_opt, header)


HEADERS = dict(_header(flags, with_opt) for flags in _FLAGS for with_opt in (0, 1))
"""By the ten octets behind a query's ID: those of an answer with one record, the number of OPT records, `Header`."""


def plain_opts(udp_size: int) -> dict[bytes, bytes]:
    """Our OPT record by what follows the size in the asker's, if it has no options."""
    return {_OPT_REST.pack(0, flags, 0): _OPT.pack(0, Type.OPT, udp_size, 0, flags & DO, 0) for flags in (0, DO)}


def cookie_opts(udp_size: int) -> dict[bytes, tuple[int, bytes, bytes]]:
    """By what follows the size in an asker's OPT record up to the cookie: what we do with it.

    Returns:
        The cookie's length in octets; our OPT record up to our cookie, of `cookies.LENGTH`; the same for BADCOOKIE,
        whose code has its upper bits there (RFC 6891 section 6.1.3).
    """
    size = _OPTION.size + cookies.LENGTH
    option = _OPTION.pack(COOKIE, cookies.LENGTH)
    extended = (Rcode.BADCOOKIE >> 4) << 8
    return {
        _OPT_REST.pack(0, flags, _OPTION.size + length) + _OPTION.pack(COOKIE, length): (
            length,
            _OPT.pack(0, Type.OPT, udp_size, 0, flags & DO, size) + option,
            _OPT.pack(0, Type.OPT, udp_size, extended, flags & DO, size) + option,
        )
        for flags in (0, DO)
        for length in (cookies.CLIENT_LENGTH, cookies.LENGTH)
    }
