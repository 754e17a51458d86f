"""What was made of subscriber files, kept from one life of the program to the next.

Reading a hundred thousand subscribers takes half a minute; what was made of them can be read in a second. So a running
gateway writes down what it serves, source by source and piece by piece (see `pieces`), and the next one looks there
first: a source that was not written since is not even read, and of one that was, only new pieces are. A source that can
not be used when the gateway starts has its last good content here.

The form is text: a line for each source, followed by a line for each of its hosts, and a last line of what they share::

    {"count": 2, "source": "a.yaml", "version": [...]}
    <token>["ue1.example.org.", 3232235521, 3, 0, 0, ["~", 0, "www.~", 1], ...]

Before it stands the checksum of all. It holds nothing but numbers and texts, so whatever is in it can be read safely.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import attrs

from realmgw import __version__, config
from realmgw.config import disk
from realmgw.config.settings import Network
from realmgw.errors import MalformedError
from realmgw.subscribers.firewall import Direction, Firewall, Rule, Target
from realmgw.subscribers.model import NO_MORE, Identity, Service
from realmgw.subscribers.pieces import TOKEN, Unit
from realmgw.subscribers.register import Register
from realmgw.subscribers.schema import Entry, Offer, Terms

FORMAT = b"realmgw-subscribers-1"
"""Of the file; another one is as good as none."""
AT_ONCE = 64
"""So many hosts are written between two yields."""
_HEX = 2 * TOKEN
_OWN = "~"  # stands for the host's name; no name has it


class _Shared:
    """Values that many hosts have, by the numbers that stand for them."""

    def __init__(self) -> None:
        self.number: dict[Hashable, int] = {}

    def of(self, value: Hashable) -> int:
        """The number of a value."""
        return self.number.setdefault(value, len(self.number))


def place(main_file: Path, state: Path) -> Path:
    """Where it is kept.

    Args:
        main_file: The gateway's main file.
        state: The folder of the gateway's state.
    """
    return config.state_file(main_file, state, "subscribers")


def read(path: Path) -> Memory:
    """What was kept; nothing if nothing was.

    Raises:
        MalformedError: The file can not be used; the text says why.
    """
    try:
        return Memory(disk.unsealed(FORMAT, path.read_bytes()))
    except FileNotFoundError:
        return Memory()
    except OSError as error:
        raise MalformedError(f"{path}: it can not be read: {error.strerror}") from None
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}") from None


def write(path: Path, text: bytes) -> None:
    """Keeps what `written` made, in place of what was kept before.

    Raises:
        PlatformError: It can not be written; what was kept before is as it was.
    """
    disk.write(path, disk.sealed(FORMAT, text))


def written(register: Register, versions: Mapping[str, Iterable[int]]) -> Generator[None, None, bytes | None]:
    """Writes down what a register holds.

    Args:
        register: It.
        versions: Of sources: what changes when they are written; of others it is not known whether they change.

    Returns:
        The text; None if the register was changed meanwhile, so that it would be neither the one nor the other.
    """
    units = register.units
    writer = _Writer(register)
    for source, unit in units.items():
        for _ in writer.unit(source, unit, versions.get(source)):
            yield
            if register.units is not units:
                return None
    return writer.text()


class _Writer:
    """The lines of one text."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._lines: list[str] = []
        self._terms, self._firewalls, self._groups = _Shared(), _Shared(), _Shared()

    def unit(self, source: str, unit: Unit, version: Iterable[int] | None) -> Iterator[None]:
        """Writes a source, if it is one that is read piece by piece."""
        tokens = {name: token for name, token in unit.tokens.items() if isinstance(token, bytes)}
        if len(tokens) < len(unit.tokens):
            return
        good = version is not None and not unit.problems
        self._lines.append(
            _json({"source": source, "version": list(version or ()) if good else None, "count": len(tokens)})
        )
        for count, (name, token) in enumerate(tokens.items()):
            self._lines.append(token.hex() + _json(self._row(name)))
            if not count % AT_ONCE:
                yield

    def _row(self, name: str) -> list[Any]:
        directory = self._register.directory
        host = directory.hosts[directory.indices.by_name[name]]
        services: list[Any] = []
        for service in self._register.services_of(name):
            services += _short(service.name, name), self._terms.of(_terms_of(service))
        identity = host.identity
        return [
            name,
            _number(host.address),
            host.max_claims,
            self._groups.of(host.groups),
            self._firewalls.of(host.firewall),
            services,
            identity.fqdns,
            [_number(address) for address in identity.addresses],
            identity.msisdns,
            [_number(address) for address in host.carriergrade],
        ]

    def text(self) -> bytes:
        """All of it."""
        shared = {
            "program": __version__,
            "terms": [attrs.astuple(terms) for terms in self._terms.number],  # type: ignore[arg-type]  # Terms
            "firewalls": [_rules(firewall) for firewall in self._firewalls.number],  # type: ignore[arg-type]
            "groups": list(self._groups.number),
        }
        return "\n".join([*self._lines, _json(shared)]).encode()


def _terms_of(service: Service) -> Terms:
    return Terms(
        service.protocol,
        service.port,
        service.proxy_required,
        service.carriergrade,
        service.loose_packet,
        service.autobind,
        service.timeout,
    )


def _short(name: str, host: str) -> str:
    return name.removesuffix(host) + _OWN if name.endswith(host) else name


def _number(address: bytes) -> int:
    return int.from_bytes(address, "big")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _rules(firewall: Firewall) -> list[list[list[Any]]]:
    return [[_rule(rule) for rule in rules] for rules in (firewall.admin, firewall.user)]


def _rule(rule: Rule) -> list[Any]:
    src, dst = (None if each is None else str(each) for each in (rule.src, rule.dst))
    return [
        rule.priority,
        rule.direction.value,
        rule.target.value,
        rule.protocol,
        src,
        dst,
        rule.parts,
        rule.target_options,
        rule.comment,
    ]


@attrs.frozen(eq=False)
class _Source:
    version: tuple[int, ...] | None
    """When it was written."""
    begin: int
    """Where its first host is in the text."""
    count: int
    """How many it has."""


class Memory:
    """What an earlier life of the program knew.

    Args:
        text: What `written` made; empty: nothing.

    Raises:
        MalformedError: It is something else.
    """

    def __init__(self, text: bytes = b"") -> None:
        self._text = text
        self._sources: dict[str, _Source] = {}
        self._pieces: dict[bytes, int] = {}
        self._is_same_program = False
        if text:
            try:
                self._read()
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise MalformedError(f"it is no list of subscribers: {error}") from None

    def _read(self) -> None:
        end = self._text.rindex(b"\n")
        shared = json.loads(self._text[end + 1 :])
        self._is_same_program = shared["program"] == __version__
        self._terms = [Terms(*terms) for terms in shared["terms"]]
        self._firewalls = [_firewall(rules) for rules in shared["firewalls"]]
        self._groups = [tuple(groups) for groups in shared["groups"]]
        at = 0
        while at < end:
            line_end = self._text.index(b"\n", at)
            head = json.loads(self._text[at:line_end])
            version = None if head["version"] is None else tuple(head["version"])
            self._sources[head["source"]] = _Source(version, line_end + 1, head["count"])
            at = self._pass_over(line_end + 1, head["count"])

    def _pass_over(self, at: int, count: int) -> int:
        """Notes where the pieces of a source are; returns where the next source is."""
        for _ in range(count):
            self._pieces.setdefault(bytes.fromhex(self._text[at : at + _HEX].decode()), at)
            at = self._text.index(b"\n", at) + 1
        return at

    def recall(self, token: bytes) -> list[Entry] | None:
        """What was made of a piece, by its token; None when that is not known."""
        at = self._pieces.get(token)
        if at is None:
            return None
        digits = token.hex().encode()
        found = []
        while self._text.startswith(digits, at):
            end = self._text.index(b"\n", at)
            found.append(self._entry(json.loads(self._text[at + _HEX : end])))
            at = end + 1
        return found

    def unchanged(self, source: str, version: tuple[int, ...]) -> Unit | None:
        """What a source says, if it was not written since, and this program would understand it as the earlier did."""
        known = self._sources.get(source)
        if not self._is_same_program or known is None or known.version is None or known.version != version:
            return None
        return self._unit(source, known)

    def last_good(self, source: str) -> Unit | None:
        """What a source said when it could be used last; None when that is not known."""
        known = self._sources.get(source)
        return None if known is None else self._unit(source, known)

    def _unit(self, source: str, known: _Source) -> Unit:
        tokens: dict[str, Hashable] = {}
        entries: dict[str, Entry] = {}
        at = known.begin
        for _ in range(known.count):
            end = self._text.index(b"\n", at)
            entry = self._entry(json.loads(self._text[at + _HEX : end]))
            tokens[entry.name] = bytes.fromhex(self._text[at : at + _HEX].decode())
            entries[entry.name] = entry
            at = end + 1
        return Unit(source, tokens, entries)

    def _entry(self, row: list[Any]) -> Entry:
        name, address, max_claims, groups, firewall, services, *rest = row
        fqdns, addresses, msisdns, carriergrade = rest
        pairs = zip(services[::2], services[1::2], strict=True)
        offers = tuple(Offer(_long(short, name), self._terms[terms]) for short, terms in pairs)
        identity = NO_MORE
        if fqdns or addresses or msisdns:
            packed = tuple(IPv4Address(each).packed for each in addresses)
            identity = Identity(tuple(fqdns), packed, tuple(msisdns))
        return Entry(
            name,
            IPv4Address(address),
            offers,
            self._groups[groups],
            max_claims,
            identity,
            self._firewalls[firewall],
            tuple(map(IPv4Address, carriergrade)),
        )


def _long(short: str, host: str) -> str:
    if short == _OWN:
        return host
    return short.removesuffix(_OWN) + host if short.endswith(_OWN) else short


def _firewall(rules: list[list[list[Any]]]) -> Firewall:
    admin, user = (tuple(_rule_of(*rule) for rule in each) for each in rules)
    return Firewall(admin, user)


def _rule_of(priority: int, direction: str, target: str, protocol: int | None, *rest: Any) -> Rule:
    src, dst, parts, target_options, comment = rest
    return Rule(
        priority,
        Direction(direction),
        Target(target),
        protocol,
        _network(src),
        _network(dst),
        tuple((part, _options(options)) for part, options in parts),
        _options(target_options),
        comment,
    )


def _options(options: list[Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((word, tuple(values)) for word, values in options)


@lru_cache(1024)
def _network(text: str | None) -> Network | None:
    return None if text is None else ip_network(text)
