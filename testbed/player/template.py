"""Traffic templates: files that say who sends what, how often, and to whom. docs/traffic.md describes them.

::

    template = read(Path("testbed/templates/ideal.yaml"))
    for stream in template.streams:
        print(stream.kind, stream.load)
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

TCP, UDP = 6, 17
"""IP protocol numbers."""


class TemplateError(Exception):
    """A template is not one; the text has a line for everything that is wrong, with its place."""


class Kind(enum.Enum):
    """What a stream does."""

    DNSDATA = "dnsdata"
    """Resolve a name, then connect to the answer: what honest clients do."""
    DNS = "dns"
    """Resolve a name, and leave it at that."""
    DATA = "data"
    """Connect to an address that nobody told."""
    DNSSPOOF = "dnsspoof"
    """Queries from addresses of others."""
    DATASPOOF = "dataspoof"
    """SYNs or datagrams from addresses of others."""


class Distribution(enum.Enum):
    """How the events of a stream are spaced."""

    EXP = "exp"
    """By chance, with exponential gaps."""
    FIXED = "fixed"
    """Evenly."""


class Option(enum.Enum):
    """An EDNS option that a resolver sends."""

    ECS = "ecs"
    """Client Subnet (RFC 7871): the client's /24."""
    ECI = "eci"
    """Extended Client Information (0xFF01): the client's address."""
    NSID = "nsid"
    """Name Server Identifier (RFC 5001)."""
    NCID = "ncid"
    """Client Identifier (0xFF02)."""
    COOKIE = "cookie"
    """DNS Cookie (RFC 7873)."""


@attrs.frozen
class Place:
    """Where something comes from or goes to."""

    address: str
    """An address or a name; as a source also `ADDRESS+COUNT`, so many consecutive addresses in turn."""
    port: int
    """0: any."""
    protocol: int
    """IP protocol number."""


@attrs.frozen
class Span:
    """A time that is drawn evenly between two limits, in seconds."""

    least: float
    """The lower one."""
    most: float
    """The upper one."""


@attrs.frozen
class Stream:
    """A stream of events of one kind."""

    kind: Kind
    """What is done."""
    load: float
    """How often in a second."""
    distribution: Distribution = Distribution.EXP
    """How the events are spaced."""
    edns_options: tuple[Option, ...] = ()
    """What the resolver sends along; none: no OPT record."""
    dns_laddr: tuple[Place, ...] = ()
    """Where queries come from, in turn; none: the usual address."""
    dns_raddr: tuple[Place, ...] = ()
    """The name server, or several in turn."""
    data_laddr: tuple[Place, ...] = ()
    """Where connections come from, in turn; none: the usual address."""
    data_raddr: tuple[Place, ...] = ()
    """Where they go to, in turn: a name to be resolved, or an address."""
    dns_timeouts: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """How long each try to resolve may take, in seconds; as many tries as there are times."""
    data_timeouts: tuple[float, ...] = (1.0,)
    """How long each try to connect may take, in seconds."""
    dns_delay: Span = Span(0.0, 0.0)
    """Before the first query."""
    data_delay: Span = Span(0.0, 0.0)
    """Between the answer and the connection."""
    data_backoff: Span = Span(0.0, 0.0)
    """Between two tries to connect."""
    data_again: Span = Span(0.0, 0.0)
    """UDP: from the answer to a second datagram of the same flow, which must be answered as well; 0: there is none."""


@attrs.frozen
class Template:
    """A whole file."""

    duration: float
    """How long events begin, in seconds."""
    backoff: float
    """How long nothing is sent before, in seconds."""
    streams: tuple[Stream, ...]
    """What is sent, in the order of the file."""

    def over(self, duration: float) -> Template:
        """The same for another time.

        Args:
            duration: In seconds.
        """
        return attrs.evolve(self, duration=duration)

    def text(self) -> str:
        """It as a file that `parse` reads."""
        lines = [f"duration: {self.duration:g}", f"backoff: {self.backoff:g}", "global_traffic: {}", "traffic:"]
        return "\n".join([*lines, *("  - " + _flow(_plain(stream)) for stream in self.streams), ""])


def read(path: Path) -> Template:
    """Reads a template file.

    Args:
        path: Which.

    Raises:
        TemplateError: It can not be read, or is none.
    """
    try:
        return parse(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: {error}") from error
    except TemplateError as error:
        raise TemplateError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def parse(text: str) -> Template:
    """Reads a template.

    Args:
        text: YAML.

    Raises:
        TemplateError: It is none.
    """
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise TemplateError(" ".join(str(error).split())) from error
    reader = _Reader()
    template = reader.template(document)
    if reader.problems:
        raise TemplateError("\n".join(reader.problems))
    return template


class _Reader:
    """Turns plain values into a template, and gathers everything that is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def template(self, document: object) -> Template:
        """The whole."""
        known = {"duration", "backoff", "global_traffic", "traffic"}
        top = self._mapping("the file", document, known)
        defaults = {
            kind.value: self._mapping(f"global_traffic.{kind.value}", given, _KEYS)
            for kind, given in self._globals(top.get("global_traffic", {}))
        }
        entries = top.get("traffic", [])
        if not isinstance(entries, list) or not entries:
            self.problems.append("traffic: a list of at least one stream is wanted")
            entries = []
        streams = [self._stream(f"traffic[{number}]", entry, defaults) for number, entry in enumerate(entries)]
        return Template(
            duration=self._number("duration", top.get("duration", 10.0), least=0.001),
            backoff=self._number("backoff", top.get("backoff", 0.0)),
            streams=tuple(stream for stream in streams if stream is not None),
        )

    def _globals(self, given: object) -> Iterable[tuple[Kind, object]]:
        kinds = {kind.value for kind in Kind}
        return [(Kind(name), value) for name, value in self._mapping("global_traffic", given, kinds).items()]

    def _stream(self, place: str, given: object, defaults: Mapping[str, Mapping[str, object]]) -> Stream | None:
        own = self._mapping(place, given, _KEYS | {"type", "load", "distribution", "edns_options"})
        kind = self._member(f"{place}.type", Kind, own.get("type"))
        if kind is None:
            return None
        values = {**defaults.get(kind.value, {}), **own}
        read = {key: self._value(f"{place}.{key}", key, value) for key, value in values.items() if key in _KEYS}
        stream = Stream(
            kind=kind,
            load=self._number(f"{place}.load", own.get("load"), least=0.001),
            distribution=self._member(f"{place}.distribution", Distribution, own.get("distribution", "exp"))
            or Distribution.EXP,
            edns_options=self._options(f"{place}.edns_options", own.get("edns_options") or []),
            **read,
        )
        self._check(place, stream)
        return stream

    def _check(self, place: str, stream: Stream) -> None:
        """What the kind needs."""
        for key in _NEEDED[stream.kind]:
            if not getattr(stream, key):
                self.problems.append(f"{place}: {stream.kind.value} wants {key}, here or in global_traffic")
        for key in ("dns_raddr", "data_raddr"):
            if any("+" in each.address for each in getattr(stream, key)) and stream.kind is not Kind.DATASPOOF:
                self.problems.append(f"{place}.{key}: single addresses and names are wanted")

    def _value(self, place: str, key: str, value: object) -> Any:
        """The value of one of `_KEYS`."""
        if key.endswith("addr"):
            return self._each(place, value, self._place)
        if key.endswith("timeouts"):
            times = self._each(place, value, lambda at, each: self._number(at, each, least=0.001))
            if not times:
                self.problems.append(f"{place}: at least one time is wanted")
            return times
        limits = self._each(place, value, self._number)
        if len(limits) != 2 or limits[0] > limits[1]:
            self.problems.append(f"{place}: [LEAST, MOST] in seconds is wanted")
            return Span(0.0, 0.0)
        return Span(*limits)

    def _each(self, place: str, value: object, read: Callable[[str, object], Any]) -> tuple[Any, ...]:
        if not isinstance(value, list):
            self.problems.append(f"{place}: a list is wanted")
            return ()
        return tuple(read(f"{place}[{number}]", each) for number, each in enumerate(value))

    def _place(self, place: str, value: object) -> Place:
        if isinstance(value, list) and len(value) == 3:
            address, port, protocol = value
            whole = isinstance(port, int) and isinstance(protocol, int)
            if isinstance(address, str) and address and whole and 0 <= port <= 65535 and protocol in (0, TCP, UDP):
                return Place(address, port, protocol)
        self.problems.append(f"{place}: [ADDRESS or NAME, PORT, PROTOCOL] is wanted, protocol 6 or 17, not {value!r}")
        return Place("", 0, UDP)

    def _options(self, place: str, value: object) -> tuple[Option, ...]:
        found = self._each(place, value, lambda at, each: self._member(at, Option, each))
        return tuple(option for option in found if option is not None)

    def _member(self, place: str, choices: type[Any], value: object) -> Any:
        try:
            return choices(value)
        except ValueError:
            self.problems.append(
                f"{place}: one of {', '.join(each.value for each in choices)} is wanted, not {value!r}"
            )
            return None

    def _number(self, place: str, value: object, *, least: float = 0.0) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            self.problems.append(f"{place}: a number of at least {least:g} is wanted, not {value!r}")
            return least
        return float(value)

    def _mapping(self, place: str, value: object, known: Iterable[str]) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{place}: keys with values are wanted")
            return {}
        unknown = [key for key in value if key not in known]
        self.problems += [f"{place}: there is no key {key!r}" for key in unknown]
        return {key: each for key, each in value.items() if key not in unknown}


_KEYS = frozenset(
    f"{half}_{what}"
    for half, whats in (("dns", "laddr raddr timeouts delay"), ("data", "laddr raddr timeouts delay backoff again"))
    for what in whats.split()
)
_NEEDED = {
    Kind.DNSDATA: ("dns_raddr", "data_raddr"),
    Kind.DNS: ("dns_raddr", "data_raddr"),
    Kind.DATA: ("data_raddr",),
    Kind.DNSSPOOF: ("dns_laddr", "dns_raddr", "data_raddr"),
    Kind.DATASPOOF: ("data_laddr", "data_raddr"),
}
"""Which places each kind must have. Names to be resolved stand in `data_raddr`."""


def _plain(stream: Stream) -> dict[str, Any]:
    """A stream as the values of the file."""
    entry: dict[str, Any] = {
        "type": stream.kind.value,
        "load": stream.load,
        "distribution": stream.distribution.value,
        "edns_options": [option.value for option in stream.edns_options],
    }
    for key in sorted(_KEYS):
        value = getattr(stream, key)
        if isinstance(value, Span):
            entry[key] = [value.least, value.most]
        elif value:
            entry[key] = [list(attrs.astuple(each)) if isinstance(each, Place) else each for each in value]
    return entry


def _flow(value: object) -> str:
    """A plain value as YAML on one line; the strings here need no escapes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
