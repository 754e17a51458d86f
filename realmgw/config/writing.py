"""From settings back to text, and what is different between two of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from realmgw.config.settings import Address, Endpoint, NameServer, Settings, Zone

Value = dict[str, Any] | list[Any] | str | int | float | bool | None
"""What YAML has: a mapping, a list, or a single value."""

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""Words that some readers of YAML take for something else than text."""


@attrs.frozen
class Change:
    """A key that has another value."""

    key: str
    """With the keys that it stands in, joined by dots: `dns.wan.listen`, `zones.example.org.ttl`."""
    old: str | None
    """The earlier value as YAML on one line; None if the key was not there."""
    new: str | None
    """The later value."""


def dump(settings: Settings) -> str:
    """The settings as a main file, with every key that has a value; what reads main files makes the same of it."""
    return text(plain(settings))


def text(value: Mapping[str, Value]) -> str:
    """A mapping as YAML: a line for each key, down to lists and to mappings in lists, which have one line each."""
    return "".join(f"{line}\n" for line in _block(value, 0))


def differences(old: Settings, new: Settings) -> tuple[Change, ...]:
    """The keys whose values differ, in the order of the new settings; those that are gone come last.

    Lists count as one value.
    """
    before, after = dict(_flat(plain(old), "")), dict(_flat(plain(new), ""))
    keys = [*after, *(key for key in before if key not in after)]
    changed = [key for key in keys if before.get(key) != after.get(key)]
    return tuple(Change(key, before.get(key), after.get(key)) for key in changed)


def _flat(value: Value, key: str) -> Iterator[tuple[str, str]]:
    """Every value that is no mapping, on one line, with its dotted key."""
    if not isinstance(value, dict):
        yield key, _line(value)
        return
    for word, member in value.items():
        yield from _flat(member, f"{key}.{word}" if key else word)


def plain(settings: Settings) -> dict[str, Value]:
    """The settings as mappings, lists and single values, with the keys of a main file."""
    return {**fields(settings), "zones": {_name(zone.name): _zone(zone) for zone in settings.zones}}


def fields(value: attrs.AttrsInstance) -> dict[str, Value]:
    """The fields of a part of the settings by their keys, without those that have no value."""
    found = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    return {word: _plain(word, each) for word, each in found.items() if each is not None}


def _plain(word: str, value: Any) -> Value:
    """The value of a key."""
    if word in ("outbound", "outbound_ports"):
        return f"{value[0]}-{value[1]}"
    if word == "levels":
        return {part: level.value for part, level in value}
    return _value(value)


def _value(value: Any) -> Value:
    if isinstance(value, Endpoint):
        return _endpoint(value)
    if attrs.has(type(value)):
        members = fields(value)
        return {"addresses": members.pop("network"), **members} if "attachment" in members else members
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(value)  # an address or a prefix


def _zone(zone: Zone) -> Value:
    members = fields(zone)
    del members["name"]
    if "apex_address" in members:
        members["address"] = members.pop("apex_address")
    return {**members, "name_servers": {_name(each.name): _glue(each) for each in zone.name_servers}}


def _glue(server: NameServer) -> Value:
    return None if server.address is None else str(server.address)


def _name(text: str) -> str:
    return text.removesuffix(".")


def _endpoint(endpoint: Endpoint) -> str:
    return f"{_host(endpoint.address)}:{endpoint.port}"


def _host(address: Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]"


def _block(value: Mapping[str, Value], depth: int) -> Iterator[str]:
    """A mapping, a line for each key, with what is in it below."""
    for word, member in value.items():
        head = f"{'  ' * depth}{_word(word)}:"
        if isinstance(member, dict) and member:
            yield head
            yield from _block(member, depth + 1)
        elif isinstance(member, list) and any(isinstance(each, dict) for each in member):
            yield head
            yield from (f"{'  ' * (depth + 1)}- {_line(each)}" for each in member)
        else:
            yield f"{head} {_line(member)}"


def _line(value: Value) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_word(word)}: {_line(member)}' for word, member in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_line, value))}]"
    if value is None:
        return "~"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _word(value) if isinstance(value, str) else repr(value)


def _word(text: str) -> str:
    """A text, in quotes unless everybody takes it for one without."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    return f"\\U{ord(character):08x}"
