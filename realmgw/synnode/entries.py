"""The tables of the control protocol, one for each gateway: which entry counts for TCP, and what has changed since.

Where several gateways have an entry for a target, that of the one counts whose table has begun last: with a flush of
everything, as they do when they connect. So an address that moves from one gateway to another is the latter's.

Pure. The cost of a request does not depend on how many entries there are, but for `flush`, which costs what it removes.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import attrs

from realmgw.synproxy.codec import ANY_ADDRESS, TCP, Key, Operation, Request, TcpOptions

Target = tuple[bytes, int]
"""What the kernel looks up: an address (packed; all zeros: any of its family) and a port (0: any)."""
MOST_VARIETIES = 256
"""So many different options there may be at once, which is far more than hosts have."""

NOBODY = ""
"""Whose entries those are that an earlier run has left in the kernel."""
MOST_CHANGES = 65_536
"""So many changed targets, besides as many as there may be entries, are remembered; beyond, all is told anew."""

_Ports = dict[tuple[int, int], TcpOptions]  # of one address, by port and protocol
_Table = dict[bytes, _Ports]  # of one gateway, by address


class Refusal(enum.Enum):
    """Why a request that can be read is not done; the table is as it was."""

    EXISTS = "exists"
    """`add` of a key that is there."""
    MISSING = "missing"
    """`del` of a key that is not."""
    FULL = "full"
    """As many entries as there may be are there."""
    VARIETY = "variety"
    """As many different options as there may be are in use."""


@attrs.frozen
class Entry:
    """One entry of a table."""

    client: str
    """The address of the gateway whose it is, as text; or `NOBODY`."""
    key: Key
    """For which connections."""
    options: TcpOptions
    """What clients are given."""


class Entries:
    """All entries of all gateways.

    Args:
        most: So many there may be.
        guards: Tells of an address (packed; all zeros: any) whether its entries have an effect here.

    Attributes:
        idle: How many entries have none.
    """

    def __init__(self, most: int, guards: Callable[[bytes], bool] = lambda _address: True) -> None:
        self._most, self._guards = most, guards
        self.idle = 0
        self._tables: dict[str, _Table] = {}  # of those who have entries, in the order in which they have begun
        self._varieties: Counter[TcpOptions] = Counter()
        self._changed: set[Target] | None = set()  # None: too many to be remembered
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for client, table in self._tables.items():
            for address, ports in table.items():
                for (port, protocol), options in ports.items():
                    yield Entry(client, Key(address, port, protocol), options)

    @property
    def has_changed(self) -> bool:
        """Whether there is something in `take_changes`."""
        return self._changed is None or bool(self._changed)

    @property
    def varieties(self) -> int:
        """How many different options there are."""
        return len(self._varieties)

    @property
    def has_adopted(self) -> bool:
        """Whether there are entries of an earlier run that nobody has said since."""
        return NOBODY in self._tables

    def apply(self, client: str, request: Request) -> Refusal | None:
        """Do what is asked for, in the table of who asks.

        Args:
            client: His address, as text.
            request: What he asks for.

        Returns:
            Why it is not done; None when it is.
        """
        if request.operation is Operation.FLUSH:
            self._flush(client, request.key.address)
            return None
        if request.operation is Operation.DEL:
            return self._delete(client, request.key)
        if request.options is None:
            raise ValueError("a request that sets something says what")
        return self._set(client, request.key, request.options, is_new=request.operation is Operation.ADD)

    def adopt(self, found: Mapping[Target, TcpOptions]) -> None:
        """Take what stands in the kernel, before anything else, for entries of any protocol; it is no change.

        They are nobody's, and count where no gateway says anything. What is too much is left out.
        """
        for (address, port), options in found.items():
            self._set(NOBODY, Key(address, port), options, is_new=True)
        self._changed = set()

    def forget_adopted(self) -> None:
        """Have no entries any more that were adopted."""
        self._flush(NOBODY, ANY_ADDRESS)

    def effective(self, target: Target) -> TcpOptions | None:
        """What TCP to a target is answered with; None where no entry is for it."""
        address, port = target
        for table in reversed(self._tables.values()):
            ports = table.get(address, {})
            options = ports.get((port, TCP)) or ports.get((port, 0))
            if options is not None:
                return options
        return None

    def take_changes(self) -> dict[Target, TcpOptions | None] | None:
        """What may be different since the last time, each target once, however often it was changed.

        Returns:
            By target, what TCP is answered with from now on (None: no entry is for it); or None where so much has
            changed that all that there is, `everything`, is to be told anew.
        """
        changed, self._changed = self._changed, set()
        return None if changed is None else {target: self.effective(target) for target in changed}

    def everything(self) -> dict[Target, TcpOptions]:
        """What TCP to each target is answered with."""
        tables = self._tables.values()
        every = ((address, port) for table in tables for address, ports in table.items() for port, _ in ports)
        return {target: options for target in every if (options := self.effective(target)) is not None}

    def _set(self, client: str, key: Key, options: TcpOptions, *, is_new: bool) -> Refusal | None:
        ports = self._tables.get(client, {}).get(key.address)
        before = None if ports is None else ports.get((key.port, key.protocol))
        if before is not None and is_new:
            return Refusal.EXISTS
        if before is None and self._count >= self._most:
            return Refusal.FULL
        if options not in self._varieties and len(self._varieties) >= MOST_VARIETIES:
            return Refusal.VARIETY
        if ports is None:
            ports = self._tables.setdefault(client, {})[key.address] = {}
        ports[key.port, key.protocol] = options
        self._varieties[options] += 1
        if before is None:
            self._add(key.address, 1)
        self._forget(before)
        self._note((key.address, key.port))
        return None

    def _delete(self, client: str, key: Key) -> Refusal | None:
        """Of a table, or of what is nobody's."""
        where = key.port, key.protocol
        if where not in self._tables.get(client, {}).get(key.address, {}):
            client = NOBODY
        table = self._tables.get(client, {})
        ports = table.get(key.address, {})
        options = ports.pop(where, None)
        if options is None:
            return Refusal.MISSING
        if not ports:
            del table[key.address]
        if not table:
            del self._tables[client]
        self._add(key.address, -1)
        self._forget(options)
        self._note((key.address, key.port))
        return None

    def _flush(self, client: str, address: bytes) -> None:
        """Of one address, or of all of them; who has no entries any more begins anew with the next."""
        table = self._tables.get(client, {})
        for each in [address] if any(address) else list(table):
            ports = table.pop(each, {})
            self._add(each, -len(ports))
            for (port, _), options in ports.items():
                self._forget(options)
                self._note((each, port))
        if not table:
            self._tables.pop(client, None)

    def _add(self, address: bytes, number: int) -> None:
        """There are so many more entries of an address."""
        self._count += number
        if number and not self._guards(address):
            self.idle += number

    def _note(self, target: Target) -> None:
        if self._changed is not None:
            self._changed.add(target)
            if len(self._changed) > self._most + MOST_CHANGES:
                self._changed = None

    def _forget(self, options: TcpOptions | None) -> None:
        if options is not None:
            self._varieties[options] -= 1
            if not self._varieties[options]:
                del self._varieties[options]
