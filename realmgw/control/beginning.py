"""A first configuration: what is proposed for a machine, and the main file that answers come to. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address

import attrs

SUBSCRIBERS = "subscribers.d"
"""The folder of subscribers, beside the main file."""
LOOPBACK = "lo"


@attrs.frozen
class Machine:
    """What was found on it."""

    interfaces: Mapping[str, tuple[IPv4Interface | IPv6Interface, ...]]
    """By their names, with their addresses."""
    wan: str = ""
    """That by which the default route of IPv4 goes; empty: there is none."""
    resolvers: tuple[IPv4Address | IPv6Address, ...] = ()
    """Those that the machine itself asks."""

    @property
    def lan(self) -> tuple[str, ...]:
        """Interfaces that may be LANs: all others that have a private address."""
        return tuple(
            name
            for name, addresses in self.interfaces.items()
            if name not in (LOOPBACK, self.wan) and any(each.version == 4 and each.is_private for each in addresses)
        )

    def address(self, name: str) -> IPv4Address | None:
        """The first address of IPv4 that an interface has; None: none."""
        return next((each.ip for each in self.interfaces.get(name, ()) if isinstance(each, IPv4Interface)), None)


@attrs.frozen
class Answers:
    """What the main file is made of."""

    zone: str
    """The zone, which is the gateway's own name, too; without the final dot."""
    wan: str
    """The interface towards the Internet."""
    lan: tuple[str, ...]
    """Interfaces of LANs."""
    address: IPv4Address | IPv6Address
    """Where the zone's name server is asked from the Internet."""
    pool: tuple[str, ...]
    """Prefixes, ranges or single addresses of the circular pool."""
    resolvers: tuple[IPv4Address | IPv6Address, ...] = ()
    """Who is asked for other people's names on behalf of LANs; none: these are refused."""


def attachment(written: str, address: IPv4Interface | IPv6Interface | None) -> str:
    """How a part of the pool gets to us: `on-link` if it lies in the WAN's own network, else `routed`."""
    first = written.partition("-")[0].partition("/")[0].strip()
    try:
        return "on-link" if address is not None and ip_address(first) in address.network else "routed"
    except ValueError:  # the check says what is wrong with it
        return "routed"


def main_file(answers: Answers, machine: Machine) -> str:
    """The text of the main file.

    Args:
        answers: What was said.
        machine: Its addresses are where LANs ask, and tell how the pool is attached.
    """
    return "".join(f"{line}\n" for line in _lines(answers, machine))


def _lines(answers: Answers, machine: Machine) -> Iterator[str]:
    zone, server = answers.zone, f"ns1.{answers.zone}"
    of_wan = next((each for each in machine.interfaces.get(answers.wan, ()) if each.ip == answers.address), None)
    yield "# The first configuration, by `realmgw init`. Every key that there is stands in docs/configuration.md."
    yield "# Check a change with `realmgw check`; `realmgw reload` puts it in force."
    yield f"name: {_said(zone)}"
    yield "zones:"
    yield f"  {_said(zone)}:"
    yield f"    name_servers: {{{_said(server)}: {_said(str(answers.address))}}}"
    yield f"    contact: {_said('hostmaster.' + zone)}"
    yield f"    address: {_said(str(answers.address))}"
    yield "interfaces:"
    yield f"  wan: {_said(answers.wan)}"
    yield f"  lan: {_listed(answers.lan)}"
    yield "pools:"
    yield "  circular:"
    for each in answers.pool:
        yield f"    - {{addresses: {_said(each)}, attachment: {attachment(each, of_wan)}}}"
    yield "dns:"
    yield f"  wan: {{listen: {_listed([str(answers.address)])}}}"
    faces = [str(address) for name in answers.lan if (address := machine.address(name)) is not None]
    if faces:
        yield f"  lan: {{listen: {_listed(faces)}}}"
    if answers.resolvers and faces:
        yield f"  forward: {{resolvers: {_listed(list(map(str, answers.resolvers)))}}}"
    yield f"subscribers: {_listed([SUBSCRIBERS])}"


def _said(text: str) -> str:
    """A text in YAML: as it is where it can not be taken for anything else, or in quotes as JSON has them."""
    is_plain = text and text[0].isalpha() and text.replace(".", "a").replace("-", "a").isalnum() and not _is_word(text)
    return text if is_plain or _is_address(text) else json.dumps(text)


def _is_word(text: str) -> bool:
    """Whether YAML, in any of its versions, means something else by it than the text."""
    return text.lower() in {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def _is_address(text: str) -> bool:
    """An address that has no sign with a meaning of its own in it; it is no number either."""
    try:
        return ":" not in str(ip_address(text))
    except ValueError:
        return False


def _listed(texts: Collection[str]) -> str:
    return f"[{', '.join(map(_said, texts))}]"


def delegation(answers: Answers, *, has_unit: bool = False) -> Iterator[str]:
    """What has to stand in the zone above, and what is to be done next.

    Args:
        answers: What was said.
        has_unit: systemd has a unit that starts a gateway, as of the package.
    """
    parent = answers.zone.partition(".")[2] or "."
    server, kind = f"ns1.{answers.zone}.", "A" if answers.address.version == 4 else "AAAA"
    yield f"In the zone {parent}, have these two records written (whoever runs it does that for you):"
    yield f"  {answers.zone}.  NS  {server}"
    yield f"  {server}  {kind}  {answers.address}"
    yield "Then:"
    yield "  realmgw doctor                                  # what the machine lacks, and the command that mends it"
    yield f"  realmgw subscribers add www.{answers.zone} --address ADDRESS   # a host on a LAN"
    if has_unit:  # by hand, its state would be somebody else's
        yield "  systemctl enable --now realmgw                  # starts the gateway, now and at each boot"
    else:
        yield "  twistd --nodaemon realmgw                       # starts the gateway; as a service: docs/operations.md"
