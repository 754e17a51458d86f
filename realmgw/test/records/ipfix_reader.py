"""Takes messages of IPFIX apart by the templates that came before, as a collector has to (RFC 7011 section 3)."""

from __future__ import annotations

import struct
from typing import Any

Fields = list[tuple[int, int, int]]
"""Enterprise (0: IANA), element, length (65535: each value says its own)."""


class Reader:
    """A collector.

    Attributes:
        templates: By identifier, what records are made of.
        records: All that came, each by enterprise and element.
        headers: Of each message: version, time, sequence number, domain.
        unknown: Sets of records that came before their template.
    """

    def __init__(self) -> None:
        self.templates: dict[int, Fields] = {}
        self.records: list[dict[tuple[int, int], Any]] = []
        self.headers: list[tuple[int, ...]] = []
        self.unknown = 0

    def stream(self, octets: bytes) -> None:
        """Messages behind each other."""
        while octets:
            length = int.from_bytes(octets[2:4], "big")
            self.message(octets[:length])
            octets = octets[length:]

    def message(self, octets: bytes) -> None:
        """One."""
        version, length, *others = struct.unpack_from("!HHIII", octets)
        assert length == len(octets), (length, len(octets))
        self.headers.append((version, *others))
        at = 16
        while at < length:
            kind, size = struct.unpack_from("!HH", octets, at)
            body = octets[at + 4 : at + size]
            if kind == 2:
                self._learn(body)
            elif kind in self.templates:
                self._read(self.templates[kind], body)
            else:
                self.unknown += 1
            at += size
        assert at == length

    def _learn(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            kind, count = struct.unpack_from("!HH", body, at)
            at += 4
            fields = self.templates[kind] = []
            for _ in range(count):
                element, length = struct.unpack_from("!HH", body, at)
                at += 4
                enterprise = 0
                if element & 0x8000:
                    [enterprise] = struct.unpack_from("!I", body, at)
                    at += 4
                fields.append((enterprise, element & 0x7FFF, length))

    def _read(self, fields: Fields, body: bytes) -> None:
        at = 0
        while at < len(body):
            found: dict[tuple[int, int], Any] = {}
            for enterprise, element, fixed in fields:
                length = fixed
                if length == 0xFFFF:
                    length, at = body[at], at + 1
                    if length == 0xFF:
                        length, at = int.from_bytes(body[at : at + 2], "big"), at + 2
                value = body[at : at + length]
                found[enterprise, element] = value if fixed in (4, 16, 0xFFFF) else int.from_bytes(value, "big")
                at += length
            self.records.append(found)
