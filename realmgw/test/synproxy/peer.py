"""A SYN proxy in memory, strict, for the tests of its client."""

from __future__ import annotations

import attrs

from realmgw.synproxy.codec import Key, Operation, Request, RequestReader, TcpOptions, response
from realmgw.synproxy.table import is6


@attrs.define(eq=False)
class MemoryProxy:
    """A SYN proxy: it does what the protocol says, and answers.

    Attributes:
        takes6: It knows IPv6.
        table: What it answers with.
        asked: Every request, in order.
    """

    takes6: bool = True
    table: dict[Key, TcpOptions] = attrs.field(factory=dict)
    asked: list[Request] = attrs.field(factory=list)
    _reader: RequestReader = attrs.field(factory=RequestReader)

    def receive(self, octets: bytes) -> bytes:
        """What it answers to what came; raises `ProtocolError` if that is no request."""
        self._reader.receive(octets)
        answers = b""
        while (request := self._reader.next()) is not None:
            self.asked.append(request)
            answers += response(self._do(request))
        return answers

    def said(self) -> list[str]:
        """What it was asked since this was called last, in short."""
        asked, self.asked = self.asked, []
        return [f"{each.operation.name.lower()} {each.key}" for each in asked]

    def shown(self) -> dict[str, TcpOptions]:
        """Its table, to be read."""
        return {str(key): options for key, options in self.table.items()}

    def _do(self, request: Request) -> bool:
        key, operation = request.key, request.operation
        if is6(key.address) and not self.takes6:
            return False
        if operation is Operation.FLUSH:
            everything = not any(key.address)
            for each in [each for each in self.table if everything or each.address == key.address]:
                del self.table[each]
            return True
        if operation is Operation.DEL:
            return self.table.pop(key, None) is not None
        if operation is Operation.ADD and key in self.table:
            return False
        assert request.options is not None
        self.table[key] = request.options
        return True
