"""From settings back to text, and what is different between two of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import PurePath
from typing import Any

import attrs

from realmgw.config import rules
from realmgw.config.addresses import AddressRange, PortRange
from realmgw.config.pipeline import Group, Pipeline
from realmgw.config.rules import StageRule
from realmgw.config.settings import Address, Peer, PoolPrefix, Settings, Zone
from realmgw.config.steps import Steps, emptying, finish, portions
from realmgw.system.endpoints import Endpoint

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
    return finish(comparing(old, new))


def comparing(old: Settings, new: Settings) -> Steps[tuple[Change, ...]]:
    """What `differences` does, step by step."""
    before, after = dict[str, str](), dict[str, str]()
    yield from _flatten((yield from _plain_settings(old)), "", before)
    yield from _flatten((yield from _plain_settings(new)), "", after)
    changed: list[str] = []
    for portion in portions(chain(after, (key for key in before if key not in after))):
        changed += [key for key in portion if before.get(key) != after.get(key)]
        yield None
    changes = tuple(Change(key, before.get(key), after.get(key)) for key in changed)
    yield from emptying(before, after)
    return changes


def digesting(settings: Settings) -> Steps[str]:
    """A number, in hexadecimal, that is another one for other settings (SHA-256); step by step."""
    lines, digest = dict[str, str](), sha256()
    yield from _flatten((yield from _plain_settings(settings)), "", lines)
    for portion in portions(lines.items()):
        for key, line in portion:
            digest.update(f"{key}: {line}\n".encode())
        yield None
    yield from emptying(lines)
    return digest.hexdigest()


def _flatten(value: Value, key: str, into: dict[str, str]) -> Steps[None]:
    """Every value that is no mapping, on one line, by its dotted key. The value is taken apart."""
    if not isinstance(value, dict):
        into[key] = yield from _lined(value)
        return
    for word in tuple(value):
        yield from _flatten(value.pop(word), f"{key}.{word}" if key else word, into)
        yield None


def _lined(value: Value) -> Steps[str]:
    """What `_line` makes of a value, which is taken apart: to free all of it at once would take long, too."""
    if isinstance(value, dict):
        members = []
        for word, member in value.items():
            members.append(f"{_word(word)}: {(yield from _lined(member))}")
        return f"{{{', '.join(members)}}}"
    if not isinstance(value, list):
        return _line(value)
    items = []
    value.reverse()
    while value:
        items.append((yield from _lined(value.pop())))
        yield None
    return f"[{', '.join(items)}]"


def plain(settings: Settings) -> dict[str, Value]:
    """The settings as mappings, lists and single values, with the keys of a main file."""
    return finish(_plain_settings(settings))


def _plain_settings(settings: Settings) -> Steps[dict[str, Value]]:
    zones: dict[str, Value] = {}
    for zone in settings.zones:
        zones[_name(zone.name)] = yield from _zone(zone)
        yield None
    return {**(yield from _fields(attrs.evolve(settings, zones=()))), "zones": zones}


def fields(value: attrs.AttrsInstance) -> dict[str, Value]:
    """The fields of a part of the settings by their keys, without those that have no value."""
    return finish(_fields(value))


def _fields(value: attrs.AttrsInstance) -> Steps[dict[str, Value]]:
    found = {}
    for field in attrs.fields(type(value)):
        member = getattr(value, field.name)
        if member is not None and field.eq is not False:
            found[field.name] = yield from _plain(field.name, member)
    if isinstance(value, Pipeline):
        found["groups"] = yield from _groups(value.groups)
    return found


def _plain(word: str, value: Any) -> Steps[Value]:
    """The value of a key."""
    if word in ("levels", "text"):
        return {part: str(getattr(said, "value", said)) for part, said in value}
    return (yield from _value(value))


def value(said: Any) -> Value:
    """A single value, a part of the settings, or several of them, as YAML has it."""
    return finish(_value(said))


def _value(value: Any) -> Steps[Value]:
    if isinstance(value, Endpoint | Peer):
        return value.text
    if isinstance(value, PoolPrefix | StageRule):
        return _stage_rule(value) if isinstance(value, StageRule) else _piece(value)
    if attrs.has(type(value)):
        return (yield from _fields(value))
    if isinstance(value, AddressRange | PortRange):
        return f"{value.first}-{value.last}"
    if isinstance(value, tuple):
        items = []
        for each in value:
            items.append((yield from _value(each)))
            yield None
        return items
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, PurePath):
        return str(value)
    return str(value)  # an address or a prefix


def _piece(piece: PoolPrefix) -> Value:
    return {"addresses": str(piece.network), "attachment": piece.attachment.value}


def _stage_rule(said: StageRule) -> Value:
    return {**({"interface": said.interface} if said.interface else {}), **rules.plain(said.rule)}


def _groups(groups: Sequence[Group]) -> Steps[Value]:
    found: dict[str, Value] = {}
    for each in groups:
        found[each.name] = {"rules": [{"direction": said.rule.direction.value, **rules.plain(said.rule)}
                                      for said in each.rules]}  # fmt: skip
        yield None
    return found


def _zone(zone: Zone) -> Steps[Value]:
    members = yield from _fields(attrs.evolve(zone, name_servers=()))
    del members["name"]
    apex = one_or_each(zone.apex_addresses)
    del members["apex_addresses"]
    if apex is not None:
        members["address"] = apex
    servers: dict[str, Value] = {}
    for portion in portions(zone.name_servers):
        servers.update((_name(each.name), one_or_each(each.addresses)) for each in portion)
        yield None
    return {**members, "name_servers": servers}


def one_or_each(addresses: Sequence[Address | str]) -> Value:
    """Addresses of one name or host, as they are written: a single one alone, one of each family as a list."""
    written: list[Value] = [str(each) for each in addresses]
    return written if len(written) > 1 else written[0] if written else None


def _name(text: str) -> str:
    return text.removesuffix(".")


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
