"""Aliases that lead to names of ours: those on a LAN are told of these what they are ever told.

Resolvers have it from the WAN's view, whose addresses lead nowhere from here. Only names of a network of one's own may
lead in: anybody can have an alias to a name of ours, and no web page of his is to reach what stands behind the gateway.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from realmgw.dns.codec.message import Record, Response
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.forward.answers import Reply
from realmgw.dns.forward.cache import STALE_LIFE, Packed, pack

_ALIASES_THEMSELVES = frozenset((Type.CNAME, Type.ANY))
"""Who asks for these gets them, and not what they lead to."""


def way_in(question: bytes, reply: Reply, is_ours: Callable[[bytes], bool]) -> Reply | None:
    """The aliases of an answer, to the first that leads to a name of ours; None if none does.

    Args:
        question: Name in lower case, type and class.
        reply: What a resolver said.
        is_ours: Whether a name (wire form, lower case) lies in a zone of ours.
    """
    if int.from_bytes(question[-4:-2], "big") in _ALIASES_THEMSELVES:
        return None
    answers = reply.answers
    for at, record in enumerate(answers):
        if record.type == Type.CNAME and is_ours(record.targets[0].lower()):
            end = at + 1
            while end < len(answers) and (answers[end].type, answers[end].owner) == (Type.RRSIG, record.owner):
                end += 1
            proofs = tuple([each for each in reply.authority if each.type != Type.SOA])
            return Reply(Rcode.NOERROR, answers=answers[:end], authority=proofs, life=_life(answers[:end]))
    return None


def end_of(way: Reply) -> bytes:
    """The name of ours that aliases lead to, in lower case."""
    return next(record.targets[0].lower() for record in reversed(way.answers) if record.type == Type.CNAME)


def led_in(question: bytes, way: Reply, said: Response, age: int) -> Packed:
    """The whole answer.

    Args:
        question: Name in lower case, type and class.
        way: The aliases.
        said: What is said of the name that they lead to.
        age: So many seconds of their TTLs are gone; a negative number: they have outlived them.

    Raises:
        BadAnswerError: It is longer than any message.
    """
    aliases = tuple([_aged(record, age) for record in way.answers])
    proofs = tuple([_aged(record, age) for record in way.authority])
    whole = Reply(said.rcode, answers=(*aliases, *said.answers), authority=(*proofs, *said.authority))
    return pack(question, whole)


def _aged(record: Record, age: int) -> Record:
    return attrs.evolve(record, ttl=STALE_LIFE if age < 0 else max(record.ttl - age, 0))


def _life(records: tuple[Record, ...]) -> int:
    return min(record.ttl for record in records)
