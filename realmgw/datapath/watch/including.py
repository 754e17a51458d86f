"""Includes, read, tried and placed: a bad one disables only itself. It blocks. Edge: files, nftables, netlink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs

from realmgw.config import layers
from realmgw.config.document import Problems
from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.datapath import includes, membership
from realmgw.datapath.client import Run, open_nft, run_program
from realmgw.datapath.filling import Filling
from realmgw.datapath.includes import Include
from realmgw.datapath.netlink import codec, nftables
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.nftables import INET, Standing
from realmgw.datapath.nft import Nft
from realmgw.datapath.watch import ownership
from realmgw.datapath.watch.keeper import Findings
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.system import disk

Hosts = Callable[[], Iterable[Host]]
"""What gives all subscribers that there are."""


def standing(table: str) -> Standing | None:
    """The table of includes.

    Args:
        table: The name of the main one.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    with open_socket() as channel:
        return nftables.standing(channel, (INET, includes.local_table(table)), 1)


def removal(table: str, found: Standing | None) -> str:
    """The command that removes the table of includes; empty where there is none, or it is somebody else's.

    Args:
        table: The name of the main one.
        found: What stands.
    """
    is_there = found is not None and ownership.is_ours(found)
    return ownership.precondition("inet", includes.local_table(table), found) if is_there else ""


def read(settings: Settings) -> tuple[list[Include], list[str]]:
    """The files of all layers, by name; one in a later layer takes the place of one of the same name.

    Returns:
        Those that may stand within a table, and what is wrong with the others, a line each.

    Raises:
        PlatformError: A folder can not be read, so nothing is known of its files.
    """
    problems, unread = list[str](), Problems(includes.FOLDER)
    folders = (Path(each, includes.FOLDER) for each in settings.drop_ins if Path(each).is_dir())
    try:
        paths = layers.files(folders, unread, includes.ENDING)
    except OSError as error:
        raise PlatformError(f"{error.filename} can not be read: {error.strerror}") from error
    if unread.found:
        raise PlatformError(unread.found[0][2])
    return _readable(paths, problems), problems


def _readable(paths: list[Path], problems: list[str]) -> list[Include]:
    good, left = [], includes.MAX_ALL
    for path in paths[: includes.MAX_FILES]:
        try:
            content = disk.read(path, min(includes.MAX_FILE, left))
            left -= len(content)
            include = Include(str(path), content.decode().rstrip("\n") + "\n")
        except OSError as error:
            problems.append(f"{path}:1:1: {error.strerror}")
            continue
        except UnicodeDecodeError as error:
            problems.append(f"{path}:{content.count(10, 0, error.start) + 1}:1: it is not UTF-8: save it as UTF-8")
            continue
        why = includes.problem(include)
        if why is None:
            good.append(include)
        else:
            problems.append(why)
    problems += [f"{path}:1:1: at most {includes.MAX_FILES} files are read" for path in paths[includes.MAX_FILES :]]
    return good


def tried(settings: Settings, good: list[Include], run: Run = run_program) -> tuple[list[Include], list[str]]:
    """What of these nft and the kernel would take, each beside those before it; nothing is changed.

    Returns:
        Those, and what is wrong with the others, a line each.

    Raises:
        PlatformError: There is no program nft, or the kernel does not let us; or the table is somebody else's.
        RealmGatewayError: The kernel does not tell what stands.
    """
    table, accepted, problems = settings.datapath.table, list[Include](), list[str]()
    begin = _precondition(table)
    if good and _accepts(_whole(settings, begin, good), run) is None:  # as a rule all of them are good
        return good, []
    for each in good:
        message = _accepts(_whole(settings, begin, [*accepted, each]), run)
        if message is None:
            accepted.append(each)
        else:
            before = begin.count("\n") + includes.lines_before(accepted, each)
            problems.append(includes.refusal(message, each, before))
    return accepted, problems


def _whole(settings: Settings, begin: str, good: list[Include]) -> str:
    return begin + includes.commands(includes.local_table(settings.datapath.table), settings.name, good)


def _precondition(table: str) -> str:
    """The beginning of a transaction that places the table, whether one of ours stands or none.

    Raises:
        PlatformError: It is somebody else's.
    """
    found, name = standing(table), includes.local_table(table)
    if found is not None and not ownership.is_ours(found):
        raise PlatformError(f"table inet {name} is somebody else's: no include is loaded until it is gone")
    return "" if found is None else ownership.precondition("inet", name, found)


def _accepts(commands: str, run: Run) -> str | None:
    """What nft has against commands; None: nothing."""
    try:
        run(["nft", "--check", "-f", "-"], commands)
    except PlatformError:
        raise
    except RealmGatewayError as error:
        if "Operation not permitted" in str(error).splitlines()[0]:
            raise PlatformError("nft may not look at the kernel: run as root") from error
        return str(error)
    return None


class Includes:
    """The includes of one gateway. Making it touches nothing; all calls come from one thread.

    Args:
        settings: The gateway's; layers, name and table do not change.
        open_nft: What makes the access to nftables, at its first use and in that thread.

    Attributes:
        problems: What of the files is not in force, a line each.
    """

    def __init__(self, settings: Settings, open_nft: Callable[[], Nft] = open_nft) -> None:
        self._settings = settings
        self._open = open_nft
        self._readers = Readers()
        self._nft: Nft | None = None
        self._good: list[Include] = []
        self._placed: frozenset[bytes] = frozenset()
        self._sets: tuple[str, ...] = ()
        self._filling = Filling(includes.local_table(settings.datapath.table))
        self._is_loaded = False
        self.problems: tuple[str, ...] = ()

    def own_ports(self) -> frozenset[int]:
        """Netlink ports that sets of subscribers are changed from, until this is closed."""
        with suppress(RealmGatewayError):
            return frozenset((self._filling.port,))
        return frozenset()

    def load(self, hosts: Hosts) -> None:
        """Read the files, and place what of them is good; `problems` says what is not. Never raises.

        Where nothing is different, or a folder can not be read, the table stays as it is, with what its rules have
        counted; sets of subscribers are filled anew.

        Args:
            hosts: All that there are.
        """
        problems: list[str] = []
        try:
            good, problems = self._readers.wait(Blocking(includes.FOLDER, partial(read, self._settings)))
            if not self._is_loaded or good != self._good or self.problems or not self._stands():
                accepted, more = tried(self._settings, good) if good else (good, [])
                problems += more
                if not self._is_loaded or accepted != self._good or not self._stands():
                    self._place(accepted, hosts)
                self._is_loaded = True
            elif self._sets:
                table = includes.local_table(self._settings.datapath.table)
                flushed = "".join(f"flush set inet {table} {name}\n" for name in self._sets)
                self._run(flushed + self._filled(self._sets, hosts))
        except (RealmGatewayError, OSError) as error:
            problems.append(f"{includes.FOLDER}: {error}")
        self.problems = tuple(problems)

    def follow(self, gone: Iterable[Host], came: Iterable[Host], hosts: Hosts) -> None:
        """Hosts are different: so are the sets. Never raises; what is refused here, the next look puts right.

        Args:
            gone: Hosts that are no more, and those that change, as they were.
            came: Hosts that are new, and those that change, as they are from now on.
            hosts: All that there are now.
        """
        if not self._sets:
            return
        changes = [*membership.elements("delete", self._sets, gone), *membership.elements("add", self._sets, came)]
        try:
            self._filling.run(changes)
        except RealmGatewayError:
            try:
                self._place(self._good, hosts)
            except RealmGatewayError:
                self._placed = frozenset()

    def look(self, findings: Findings, hosts: Hosts) -> Findings:
        """Put back what somebody has removed; what was added is left alone. Never raises.

        Args:
            findings: What else was found.
            hosts: All that there are.

        Returns:
            That, and what was found here.
        """
        table, errors = includes.local_table(self._settings.datapath.table), list[str]()
        try:
            if not self._stands():
                self._place(self._good, hosts)
                line = f"nftables table inet {table}, of {includes.FOLDER}, was gone or changed"
                findings = attrs.evolve(findings, repaired=(*findings.repaired, line))
        except RealmGatewayError as error:
            errors.append(f"{includes.FOLDER}: it can not be put back: {error}")
        return attrs.evolve(findings, unloaded=(*self.problems, *errors))

    def forget(self) -> None:
        """A purge has removed them: they are not put back until they are loaded again."""
        self._good, self._placed, self._sets, self._is_loaded = [], frozenset(), (), False

    def close(self) -> None:
        """Give back what is held; the kernel keeps what it has."""
        self._filling.close()
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    def _place(self, good: list[Include], hosts: Hosts) -> None:
        table, sets = self._settings.datapath.table, membership.named(each.text for each in good)
        if good:
            self._run(_whole(self._settings, _precondition(table), good) + self._filled(sets, hosts))
        else:
            self._run(removal(table, standing(table)))
        self._good, self._placed, self._sets = good, self._handles(), sets

    def _filled(self, sets: tuple[str, ...], hosts: Hosts) -> str:
        """The commands that put everybody into the sets that he belongs to; they are empty."""
        table, filling = includes.local_table(self._settings.datapath.table), membership.elements("add", sets, hosts())
        return "".join(f"{line}\n" for each in filling for line in each.commands(table))

    def _run(self, commands: str) -> None:
        if commands:
            self._nft = self._nft or self._open()
            self._nft.run(commands)

    def _stands(self) -> bool:
        return not self._good or (bool(self._placed) and self._placed <= self._handles())

    def _handles(self) -> frozenset[bytes]:
        """What is in the table, by the kernel's own numbers."""
        table = INET, includes.local_table(self._settings.datapath.table)

        def listed() -> frozenset[bytes]:
            found = set[bytes]()
            with open_socket() as channel:
                for request in nftables.requests(table, 1):
                    listing = codec.dump(channel, request, "what is in a table", nothing=(codec.ENOENT,))
                    found.update(nftables.handles(listing, table))
            return frozenset(found)

        return codec.undisturbed(listed)
