"""`realmgw init`: a first configuration. Edge: the command line, the terminal, files, the machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from realmgw.control.beginning import SUBSCRIBERS, Answers, Machine, delegation, main_file
from realmgw.control.command.arguments import Command, Usual
from realmgw.control.command.asking import show
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError

QUESTIONS = {
    "zone": "The zone, delegated to this gateway (gw.example.org)",
    "wan": "The interface towards the Internet",
    "lan": "The interfaces of the private hosts",
    "address": "The public address of the DNS server",
    "pool": "The pool: public addresses that are lent (a prefix, a range FIRST-LAST, or several)",
    "resolvers": "Resolvers for all other names, asked on behalf of the LANs (none: -)",
}
"""By the options that answer them."""
NONE = "-"
UNITS = tuple(Path(each, "systemd/system/realmgw.service") for each in ("/etc", "/usr/lib", "/lib"))
"""Where a unit is that starts the gateway."""


@click.command("init", cls=Command)
@click.option("--zone", metavar="NAME", help="The zone that is delegated to this gateway.")
@click.option("--wan", metavar="INTERFACE", help="The interface towards the Internet [that of the default route].")
@click.option("--lan", metavar="INTERFACE,...", help="Interfaces of LANs [all others with a private address].")
@click.option("--address", metavar="ADDRESS", help="The public address of the DNS server [the WAN's].")
@click.option("--pool", metavar="PREFIX,...", help="The public addresses that are lent: prefixes, ranges, addresses.")
@click.option(
    "--resolvers", metavar="ADDRESS,...", help=f"Resolvers for all other names; {NONE}: none [resolv.conf's]."
)
@click.option("--yes", is_flag=True, help="Do not ask: where no option says it, take what is in brackets.")
@click.pass_obj
def init(usual: Usual, /, yes: bool, **said: str | None) -> ExitStatus:
    """Write a first configuration: asks for what no option says, and proposes what it finds on the machine."""
    from realmgw.control.command import local  # noqa: PLC0415 - likewise
    from realmgw.system import disk  # noqa: PLC0415 - likewise

    path = usual.main_file
    if path.exists():
        raise CommandError(ExitStatus.PROBLEMS, f"{path} is there already: change it, or say --config FILE")
    machine = _machine()
    answers = _answers(said, machine, is_asked=not yes)
    text = main_file(answers, machine)
    _refuse_bad(text, path)
    try:
        disk.make_folder(path.parent / SUBSCRIBERS)
        disk.create(path, [text.encode()])
    except FileExistsError:
        raise CommandError(ExitStatus.PROBLEMS, f"{path} is there already: nothing was written") from None
    except OSError as error:
        raise PlatformError(f"{path.parent}: {error.strerror}") from error
    found = local.check(path)
    following = list(delegation(answers, has_unit=any(each.exists() for each in UNITS)))
    answer = {"written": str(path), "check": found.value(), "next": following}
    show(usual, answer, lambda _: (f"written: {path}", *found.lines(), "", *answer["next"]))
    return ExitStatus.PROBLEMS if found.problems else ExitStatus.OK


def _machine() -> Machine:
    """What is found on this one; nothing where it can not be asked."""
    import dns.resolver  # noqa: PLC0415 - for this only

    from realmgw.datapath.client import route_socket  # noqa: PLC0415 - for this only
    from realmgw.datapath.machine import interfaces  # noqa: PLC0415 - likewise

    resolvers: list[Any] = []
    with suppress(dns.exception.DNSException, OSError):
        resolvers = [ip_address(str(each)) for each in dns.resolver.Resolver().nameservers]
    try:
        with route_socket() as channel:
            every, wan = interfaces.addresses(channel), interfaces.towards_internet(channel)
    except (RealmGatewayError, OSError):
        every, wan = {}, ""
    return Machine(every, wan, tuple(each for each in resolvers if not each.is_loopback))


def _answers(said: dict[str, str | None], machine: Machine, *, is_asked: bool) -> Answers:
    """What was said, asked for, or is proposed.

    Raises:
        CommandError: Something is missing, and nobody can be asked for it; or an address is none.
    """
    from realmgw.config.addresses import prefixes  # noqa: PLC0415 - see `init`
    from realmgw.config.names import absolute  # noqa: PLC0415 - likewise

    def answer(name: str, proposed: str, proven: Callable[[str], object]) -> str:
        return _answer(name, said[name], proposed, proven, is_asked=is_asked)

    def interfaces(text: str) -> None:
        for each in _several(text):
            if each not in machine.interfaces:
                raise ValueError(f"there is no interface {each} (there are {', '.join(machine.interfaces)})")

    zone, wan = answer("zone", "", absolute), answer("wan", machine.wan, interfaces)
    lan = answer("lan", ",".join(each for each in machine.lan if each != wan), interfaces)
    own = machine.address(wan)
    address = answer("address", "" if own is None else str(own), ip_address)
    pool = answer("pool", "", lambda text: [prefixes(each) for each in _several(text)])
    resolvers = answer("resolvers", ",".join(map(str, machine.resolvers)) or NONE, _resolvers)
    return Answers(
        zone.lower().removesuffix("."), wan, tuple(_several(lan)), _address(address), tuple(_several(pool)),
        tuple(_resolvers(resolvers)),
    )  # fmt: skip


def _answer(name: str, given: str | None, proposed: str, proven: Callable[[str], object], *, is_asked: bool) -> str:
    """What was said, or is said now: until it is something that `proven` does not refuse by `ValueError`."""
    if given is not None:
        return given

    def read(text: str) -> str:
        try:
            proven(text)
        except (ValueError, RealmGatewayError) as error:
            raise click.UsageError(str(error)) from None
        return text

    if is_asked and sys.stdin.isatty():
        return str(click.prompt(QUESTIONS[name], default=proposed or None, value_proc=read, err=True))
    if is_asked or not proposed:
        raise CommandError(ExitStatus.USAGE, f"nothing was written: say --{name}" + (", or --yes" if proposed else ""))
    return proposed


def _several(text: str) -> Iterator[str]:
    yield from (each for each in text.replace(",", " ").split() if each)


def _resolvers(text: str) -> list[Any]:
    return [_address(each) for each in _several("" if text == NONE else text)]


def _address(text: str) -> Any:
    try:
        return ip_address(text)
    except ValueError:
        raise CommandError(ExitStatus.USAGE, f"{text!r} is no address: nothing was written") from None


def _refuse_bad(text: str, path: Path) -> None:
    """Refuse what no gateway would take, before anything is written.

    Raises:
        ConfigurationError: The problems, as if the file were there.
    """
    from realmgw import config  # noqa: PLC0415 - see `init`

    with tempfile.TemporaryDirectory(prefix="realmgw-init-") as folder:
        tried = Path(folder) / path.name
        (Path(folder) / SUBSCRIBERS).mkdir()
        tried.write_text(text)
        try:
            config.load(tried)
        except ConfigurationError as error:
            lines: Sequence[str] = [line.replace(str(tried), str(path)) for line in str(error).splitlines()]
            raise ConfigurationError((*lines, "nothing was written")) from None
