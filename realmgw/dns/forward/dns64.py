"""DNS64 (RFC 6147): hosts that have IPv6 only get AAAA of names that have A only, at addresses that a NAT64 translates.

Nothing is made for who checks signatures himself (DO and CD), and what is made is not said to be authentic. The name by
which hosts learn the prefix (RFC 7050) is answered here (RFC 8880).

Family: it makes addresses of IPv6 of those of IPv4.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

import attrs

from realmgw.config.settings import Dns64 as Rules
from realmgw.config.values import Network
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Record, Response
from realmgw.dns.codec.wire import IN, Rcode, Type
from realmgw.dns.forward.answers import Reply
from realmgw.dns.forward.asking import Question

LIFE = 600  # seconds
"""TTL of what is made, at most, where no SOA says for how long there is no AAAA (RFC 6147 section 5.1.7)."""
ONLY_LIFE = 86_400  # seconds
"""TTL of the name that has addresses of IPv4 only."""
WELL_KNOWN = IPv6Network("64:ff9b::/96")
"""The prefix for addresses that everybody can reach (RFC 6052 section 3.1)."""

_ONLY = names.to_wire("ipv4only.arpa.")
_ONLY_ADDRESSES = (bytes((192, 0, 0, 170)), bytes((192, 0, 0, 171)))
_ARPA6 = names.to_wire("ip6.arpa.")
_U_OCTET = 8
"""The octet of an address that stays 0 (RFC 6052 section 2.2)."""
_DIGITS = frozenset(b"0123456789abcdef")
_ALIASES = frozenset((Type.CNAME, Type.DNAME))


def embed(prefix: IPv6Network, packed: bytes) -> bytes:
    """The address of IPv6 that stands for one of IPv4 (RFC 6052 section 2.2)."""
    octets = bytearray(prefix.network_address.packed[: prefix.prefixlen // 8])
    for octet in packed:
        if len(octets) == _U_OCTET:
            octets.append(0)
        octets.append(octet)
    return bytes(octets.ljust(16, b"\0"))


def extract(prefix: IPv6Network, packed: bytes) -> bytes:
    """The address of IPv4 that one of IPv6 stands for."""
    at = prefix.prefixlen // 8
    rest = packed[at:_U_OCTET] + packed[max(at, _U_OCTET + 1) :]
    return rest[:4]


class Dns64:
    """What is made, and of what.

    Args:
        rules: The prefix, which addresses of IPv6 count for none, and of which of IPv4 none are made.
    """

    def __init__(self, rules: Rules) -> None:
        self.prefix = rules.prefix
        self._excluded: tuple[Network, ...] = rules.exclude

    def answer(self, name: bytes, kind: int) -> Response | None:
        """What is said of the name that has addresses of IPv4 only; None of others, and without a prefix."""
        if self.prefix is None or name != _ONLY or kind not in (Type.A, Type.AAAA):
            return None
        four = kind == Type.A
        addresses = _ONLY_ADDRESSES if four else tuple([embed(self.prefix, each) for each in _ONLY_ADDRESSES])
        return Response(answers=tuple([Record(name, kind, ONLY_LIFE, each) for each in addresses]))

    def instead(self, question: Question) -> Question | None:
        """What is asked for in place of the name of an address with the prefix: that of the one of IPv4."""
        if self.prefix is None or question.octets[-4:] != _in(Type.PTR):
            return None
        name = question.octets[:-4]
        if not name.endswith(_ARPA6):
            return None
        labels = name[: -len(_ARPA6)]
        digits = labels[1::2][::-1]
        if labels[::2] != b"\1" * 32 or len(digits) != 32 or not _DIGITS.issuperset(digits):
            return None
        packed = bytes.fromhex(digits.decode())
        if IPv6Address(packed) not in self.prefix:
            return None
        pointer = ip_address(extract(self.prefix, packed)).reverse_pointer
        return attrs.evolve(question, octets=names.to_wire(f"{pointer}.") + _in(Type.PTR))

    def pointer(self, question: Question, instead: Question, reply: Reply) -> Reply:
        """The answer for the name of an address with the prefix: an alias to the one that was asked for."""
        life = reply.life or LIFE
        alias = Record(question.octets[:-4], Type.CNAME, life, targets=(instead.octets[:-4],))
        return attrs.evolve(reply, answers=(alias, *reply.answers), authentic=False)

    def lacks(self, question: Question, reply: Reply | None) -> Question | None:
        """The question for A, where one for AAAA had no answer of use; None where nothing is made."""
        if self.prefix is None or question.octets[-4:] != _in(Type.AAAA) or (question.do and question.cd):
            return None
        if reply is not None and (reply.rcode == Rcode.NXDOMAIN or self._kept(reply)):
            return None
        return attrs.evolve(question, octets=question.octets[:-4] + _in(Type.A))

    def _kept(self, reply: Reply) -> list[Record]:
        """The addresses of an answer that count."""
        return [record for record in reply.answers if record.type == Type.AAAA and not self._is_excluded(record)]

    def _is_excluded(self, record: Record) -> bool:
        return any(ip_address(record.rdata) in network for network in self._excluded)

    def without(self, question: Question, reply: Reply) -> Reply:
        """An answer without the addresses that do not count, but for who checks signatures himself.

        Nobody said for how long there are no others (RFC 2308 section 5).
        """
        if self.prefix is None or (question.do and question.cd):
            return reply
        kept = tuple([each for each in reply.answers if each.type != Type.AAAA or not self._is_excluded(each)])
        if len(kept) == len(reply.answers):
            return reply
        life = reply.life if any(record.type == Type.AAAA for record in kept) else 0
        return attrs.evolve(reply, answers=kept, authentic=False, life=life)

    def made(self, lacking: Reply | None, found: Reply) -> Reply | None:
        """The answer for AAAA, of the one for A; None where that has no addresses of use.

        Args:
            lacking: What was said of AAAA.
            found: What was said of A.
        """
        prefix = self.prefix
        four = [record for record in found.answers if record.type == Type.A and not self._is_excluded(record)]
        if prefix is None or found.rcode != Rcode.NOERROR or not four:
            return None
        soas = [] if lacking is None else [record.ttl for record in lacking.authority if record.type == Type.SOA]
        longest = min(soas, default=LIFE)
        aliases = [record for record in found.answers if record.type in _ALIASES]
        made = [
            Record(record.owner, Type.AAAA, min(record.ttl, longest), embed(prefix, record.rdata)) for record in four
        ]
        answers = (*aliases, *made)
        life = min(record.ttl for record in answers)
        return Reply(Rcode.NOERROR, answers=answers, life=life)


def _in(kind: int) -> bytes:
    """Type and class, as they follow the name."""
    return kind.to_bytes(2, "big") + IN.to_bytes(2, "big")
