"""Servers that we speak to, as a main file names them: `192.0.2.1`, or `192.0.2.1:5353#name.in.its.certificate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.validators import Validator, parsed
from realmgw.config.values import Peer

P = TypeVar("P", bound=Peer)


def remembered_peer(parse: Callable[[str], P]) -> Validator[P]:
    """A server; where it is is remembered, since it must be somebody else.

    Args:
        parse: Makes it of a text, or raises ValueError.
    """
    plain = parsed(parse)

    def read(node: Node, problems: Problems) -> P | None:
        value = plain(node, problems)
        if value is not None:
            problems.remember(Label.PEER, value.endpoint, node)
        return value

    return Validator(read, plain.schema)
