"""What the `realmgw` command does with files, whether a gateway runs or not. Edge: files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from realmgw import config
from realmgw.config import names
from realmgw.config.addresses import PORT_DIGITS
from realmgw.config.addresses import url as canonical
from realmgw.config.external import Repository
from realmgw.config.places import told_at
from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, finish
from realmgw.config.writing import one_or_each
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.examination import around, examine
from realmgw.control.expecting import checking
from realmgw.control.lines import pool_size
from realmgw.control.readable import unreadable
from realmgw.control.running import Running, unsupported_of
from realmgw.datapath import forwarding, translation
from realmgw.datapath.includes import FOLDER
from realmgw.datapath.watch import including
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError
from realmgw.subscribers.files import incremental
from realmgw.subscribers.files.folders import Folders
from realmgw.subscribers.files.listing import MAX_FILE, collector_at_rest
from realmgw.subscribers.model import Directory
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.registry import Registry
from realmgw.subscribers.remote.apply import send_all
from realmgw.subscribers.remote.port import UnreachableError
from realmgw.subscribers.tools.generate import Template
from realmgw.subscribers.tools.migrate import migration, write
from realmgw.system import disk
from realmgw.system.disk import read


def _text(
    name: str, addresses: Sequence[str], services: Sequence[str], max_claims: int | None, ipv6: str | None
) -> str:
    """A subscriber's file."""
    said = {
        "address": one_or_each(addresses),
        "max_claims": max_claims,
        "ipv6": ipv6,
        "services": _services(services),
    }
    lines = (f"  {key}: {json.dumps(each)}\n" for key, each in said.items() if each not in (None, {}))
    return f"{json.dumps(name)}:\n{''.join(lines)}"


def _services(texts: Sequence[str]) -> dict[str, dict[str, object]]:
    """Services by their names, as a file has them: each once.

    Raises:
        CommandError: One is none, or is there already.
    """
    found: dict[str, dict[str, object]] = {}
    for name, terms in map(_service, texts):
        if names.normal(name) in map(names.normal, found):
            raise CommandError(ExitStatus.USAGE, f"{name}: a service has one protocol and one port: write it once")
        found[name] = terms
    return found


def _service(text: str) -> tuple[str, dict[str, object]]:
    name, *rest = text.split(":")
    if len(rest) > 2 or not all(part.isalnum() for part in rest):
        raise CommandError(ExitStatus.USAGE, f"{text!r} is no service: write name, name:tcp or name:tcp:80")
    values = [int(part) if part.isascii() and part.isdigit() and len(part) <= PORT_DIGITS else part for part in rest]
    return name, dict(zip(("protocol", "port"), values, strict=False))


def _own_folder(settings: Settings) -> Path:
    """Where operators' subscriber files go: the last folder.

    Raises:
        CommandError: The configuration names none.
    """
    if not settings.subscribers:
        raise CommandError(
            ExitStatus.PROBLEMS, "the main file names no folder of subscribers: write `subscribers: [...]`"
        )
    return Path(settings.subscribers[-1])


def _file(settings: Settings, name: str) -> Path:
    try:
        return _own_folder(settings) / f"{names.absolute(name).removesuffix('.')}.yaml"
    except ValueError as error:
        raise CommandError(ExitStatus.USAGE, str(error)) from None


def add(
    main_file: Path,
    name: str,
    addresses: Sequence[str],
    services: Sequence[str] = (),
    max_claims: int | None = None,
    ipv6: str | None = None,
) -> Path:
    """Adds a subscriber, in a file of its own.

    Args:
        main_file: The gateway's.
        name: Its name.
        addresses: One of IPv4, one of IPv6, or both.
        services: Each `name[:protocol[:port]]`; none: it is reached by its own name.
        max_claims: How many claims may be pending on it.
        ipv6: How its names are answered with AAAA: the value of an `Ipv6Mode`.

    Returns:
        The file.

    Raises:
        CommandError: There is such a file already.
        ConfigurationError: It contradicts another subscriber, the zones, or the schema; nothing was written.
        PlatformError: The file can not be written.
    """
    settings = config.load(main_file)
    path, text = _file(settings, name), _text(name, addresses, services, max_claims, ipv6)
    problems = _problems_beside(settings, path, text)
    if problems:
        raise ConfigurationError(problems)
    try:
        disk.create(path, [text.encode()])
    except FileExistsError:
        there = f"{path} is there already: change it, or remove it first"
        raise CommandError(ExitStatus.PROBLEMS, there) from None
    return path


def _problems_beside(settings: Settings, path: Path, text: str) -> tuple[str, ...]:
    """What is wrong with a new file beside those that there are, one of the same name in an earlier folder excepted."""
    new = finish(incremental.read(str(path), text.encode()))
    if new.problems:
        return new.problems
    registry = subscribers(settings)
    others = [unit for source, unit in registry.units.items() if Path(source).name != path.name]
    changes = finish(registry.changes([*others, new], finish(Realm.of(settings, around(settings)))))
    return changes.units[new.source].problems


def subscribers(settings: Settings) -> Registry:
    """All subscriber files, as a gateway takes them that never ran before."""
    running = Running(Path(), settings, Folders(lambda: math.inf, lambda: 0.0), around=around(settings))
    with collector_at_rest():
        running.begin(do=Readers().wait)
    return running.registry


def remove(main_file: Path, name: str) -> Path:
    """Removes a subscriber that has a file of its own.

    Returns:
        The file.

    Raises:
        CommandError: There is no such file; or it has others as well, or not him: that is for an editor.
        PlatformError: The file can not be read, or not be removed.
    """
    path = _file(config.load(main_file), name)
    if not path.exists():
        raise CommandError(
            ExitStatus.NOT_FOUND,
            f"there is no file {path}: `realmgw subscribers show {name}` tells where it comes from",
        )
    try:
        found = finish(incremental.read(str(path), read(path, MAX_FILE)))
        if found.problems or set(found.tokens) != {names.absolute(name)}:
            there = "it has problems" if found.problems else f"it has {_some(found.tokens)}"
            text = f"{path} is not of {name} alone, {there}: change it with an editor"
            raise CommandError(ExitStatus.PROBLEMS, text)
        path.unlink()
    except OSError as error:
        raise PlatformError(f"{path}: {error.strerror}") from error
    return path


def _some(hosts: Iterable[str]) -> str:
    """Names of hosts, the first ones of many."""
    every = sorted(hosts)
    more = f" and {len(every) - 3} more" if len(every) > 3 else ""
    return (", ".join(every[:3]) or "no host") + more


def generate(
    main_file: Path, template: Path, numbers: range, folder: Path | None, progress: Callable[[int, int], None]
) -> list[Path]:
    """Writes many subscribers.

    Args:
        main_file: The gateway's.
        template: A subscriber file with placeholders.
        numbers: What is put into these.
        folder: Where the files go; None: to the last folder of the main file.
        progress: Called with how many were written so far, and how many there are in all.

    Raises:
        CommandError: No subscriber is wanted.
        ConfigurationError: The template has problems; nothing was written.
        PlatformError: A file can not be read or written.
    """
    where = folder or _own_folder(config.load(main_file))
    return _template(template, numbers).write(numbers, where, lambda done: progress(done, len(numbers)))


def _template(path: Path, numbers: range) -> Template:
    """A template that is good for these numbers; raises as `generate` does."""
    if not numbers:
        raise CommandError(ExitStatus.USAGE, "--count: write a number from 1 on")
    try:
        template = Template(read(path, MAX_FILE).decode(), str(path))
    except OSError as error:
        raise PlatformError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError((f"{path}:1:1: byte {error.start} is not UTF-8: save it as UTF-8",)) from error
    template.check(numbers)
    return template


def send(
    template: Path, numbers: range, repository: Repository, progress: Callable[[int, int], None]
) -> dict[str, object]:
    """Gives many subscribers to a policy repository.

    Args:
        template: A subscriber file with placeholders.
        numbers: What is put into these.
        repository: Which one; `url` is not None.
        progress: Called with how many were sent so far, and how many there are in all.

    Returns:
        What came of it: `sent` to which URL, and how many are `changed` and `unchanged`.

    Raises:
        CommandError: No subscriber is wanted; or the repository can not be reached, or refuses what it is given: then
            the text says how many it has already.
        ConfigurationError: The template has problems; nothing was sent.
        PlatformError: A file can not be read.
    """
    made = _template(template, numbers)
    count, done = len(numbers) * made.subscribers, [0]

    def sent(so_far: int) -> None:
        done[0] = so_far
        progress(so_far, count)

    try:
        result = send_all(repository, made.lines(numbers), sent)
    except UnreachableError as error:
        raise CommandError(ExitStatus.FAILED, f"{error} (it has {done[0]} of {count} subscribers)") from error
    return {"sent": repository.url, "changed": result.changed, "unchanged": result.unchanged}


def repository(main_file: Path | None, url: str, token_file: Path | None, ca_file: Path | None) -> Repository:
    """The repository that a command line means.

    Args:
        main_file: The gateway's; None: there is none.
        url: What the command line says; empty: the main file's, with its token and certificates.
        token_file: What the command line says.
        ca_file: The same.

    Raises:
        CommandError: There is none, or that is no URL.
    """
    settings = Repository() if main_file is None else config.load(main_file).repository
    if url:
        try:
            is_same = canonical(url) == settings.url
            settings = attrs.evolve(settings if is_same else Repository(), url=canonical(url))
        except ValueError as error:
            raise CommandError(ExitStatus.USAGE, f"--repository: {error}") from None
    if settings.url is None:
        raise CommandError(ExitStatus.USAGE, "--repository: the main file names none: write its URL behind the option")
    if ca_file is not None and settings.url.startswith("http:"):
        raise CommandError(ExitStatus.USAGE, "--ca-file is of no use with http: write https in the URL, or remove it")
    token, authorities = token_file or settings.token_file, ca_file or settings.ca_file
    return attrs.evolve(settings, token_file=token, ca_file=authorities)


def migrate(folder: Path, to: Path) -> tuple[list[str], list[Path]]:
    """Translates a folder of an existing deployment.

    Args:
        folder: It.
        to: Where the files go.

    Returns:
        What was left out, in lines; and the files.

    Raises:
        ConfigurationError: Something can not be used; nothing was written.
        PlatformError: A file is there already, or can not be written.
    """
    found = migration(folder)
    if found.problems:
        raise ConfigurationError(found.problems)
    return list(found.notes), list(write(found, to))


@attrs.frozen
class Checked:
    """What `realmgw check` has found."""

    path: Path
    """The main file."""
    problems: tuple[str, ...]
    """All of them, a line each."""
    settings: Settings | None = None
    """What the main file says, as far as it can be used; None: its zones can not."""
    directory: Directory | None = None
    """The subscribers; None: they were not looked at."""
    notes: tuple[str, ...] = ()
    """What is no problem, and is to be known."""

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from self.problems
        if self.settings is not None and self.directory is not None:
            zones = ", ".join(zone.name for zone in self.settings.zones)
            yield f"{self.path}: {zones}; {pool_size(self.settings.pools)} in the circular pool"
            yield forwarding.told(self.settings)
            yield from translation.told(self.settings)
            folders = ", ".join(map(str, self.settings.subscribers)) or "no folders"
            yield f"{folders}: {len(self.directory.hosts)} hosts, {len(self.directory.services)} services"
        yield from self.notes
        yield _verdict(len(self.problems))

    def value(self) -> dict[str, object]:
        """For JSON."""
        directory = self.directory
        return {
            "config": str(self.path),
            "problems": list(self.problems),
            "notes": list(self.notes),
            "hosts": None if directory is None else len(directory.hosts),
            "services": None if directory is None else len(directory.services),
        }


def check(path: Path) -> Checked:
    """Reads what the gateway would read, and goes on behind what is wrong as far as that makes sense.

    Args:
        path: The main file.
    """
    do = Readers().wait
    found = config.load_partly(path, do)
    if found.settings is None:
        unchecked = "The subscriber files were not checked: that needs the zones of the main file."
        return Checked(path, found.problems, notes=(unchecked,))
    settings = found.settings
    registry = subscribers(settings)
    of_machine: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    unseen: list[str] = []
    included, more = _included(settings, do)
    unseen += more
    if not found.problems:
        examined = examine(settings, do)
        lines = (*examined.refused, *examined.wrong)
        of_machine = tuple(told_at(line, settings.places, str(path)) for line in lines)
        unseen += [f"Not looked at: {line}." for line in examined.unseen]
        ran = finish(checking(settings, registry, around(settings)))
        tests, unseen = ran.failed, [*unseen, *ran.skipped]
    partly = f"The subscriber files were checked without {', '.join(found.left_out)} of the main file."
    notes = (*([partly] if found.left_out else []), *unsupported_of(settings, registry.directory), *unseen)
    problems = (*found.problems, *tests, *of_machine, *included, *registry.problems, *unreadable(path, settings, do))
    return Checked(path, problems, settings, registry.directory, notes)


def _included(settings: Settings, do: Callable[[Blocking], Any]) -> tuple[list[str], list[str]]:
    """What is wrong with the operator's own rules, and what could not be looked at."""
    try:
        good, problems = do(Blocking(FOLDER, partial(including.read, settings)))
    except (OSError, PlatformError) as error:
        return [f"{FOLDER}: {error}"], []
    if not good:
        return problems, []
    try:
        return [*problems, *including.tried(settings, good)[1]], []
    except RealmGatewayError as error:
        return problems, [f"Not looked at: what nft says of {len(good)} files of {FOLDER}: {error}."]


def _verdict(problems: int) -> str:
    return "No problems." if not problems else "1 problem." if problems == 1 else f"{problems} problems."
