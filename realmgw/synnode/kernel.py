"""The kernel's side of a node: its table is placed, changed, looked at and put back. It blocks. Edge: the kernel."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from realmgw.datapath import client
from realmgw.datapath.filling import Filling
from realmgw.datapath.machine import interfaces, seeing, sysctls
from realmgw.datapath.machine.disk import FormerValues
from realmgw.datapath.machine.former import restoring
from realmgw.datapath.netlink import codec, nftables
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.nftables import INET, Contents
from realmgw.datapath.nft import Nft
from realmgw.datapath.watch import placed
from realmgw.datapath.watch.generations import Generations, OwnNft
from realmgw.datapath.watch.keeper import NAMED, Findings, Noticed, attempt
from realmgw.datapath.watch.ownership import precondition
from realmgw.datapath.watch.placed import AS_PLACED, CHANGED, GONE, UP, Deviation, Kind, Thing
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.synnode import rules
from realmgw.synnode.entries import Target
from realmgw.synnode.listing import MAPS, listed
from realmgw.synnode.settings import NodeSettings
from realmgw.synproxy.codec import TcpOptions

STATISTICS = Path("/proc/thread-self/net/stat/synproxy")
"""What the kernel's SYN proxy has counted, of the network namespace that this thread is in."""
_CANNOT = (
    "the kernel, or nft, has no SYN proxy that nftables can use: load the module nft_synproxy (CONFIG_NFT_SYNPROXY),"
    " and have nft 1.0.6 or later"
)
_FORWARDS = {4: sysctls.FORWARDING, 6: sysctls.FORWARDING6}
_WORD = re.compile(r"[0-9a-f]+")


@attrs.frozen
class Placed:
    """What a start has found and done."""

    adopted: Mapping[Target, TcpOptions]
    """Entries that an earlier run has left in the kernel; they are still there."""
    changes: tuple[str, ...]
    """What was changed besides the table, and what will not be put back by a purge; a line each."""


class NodeKernel:
    """Making it touches nothing; a thread uses it.

    Args:
        settings: The node's.
        open_nft: Makes access to nftables.

    Attributes:
        nft: That, made at its first use.
        was_installed: Whether a table of ours stood before the last `apply`; None: not known.
    """

    def __init__(self, settings: NodeSettings, open_nft: Callable[[], Nft] = client.open_nft) -> None:
        self._settings = settings
        self._guarding = settings.guarding
        self._filling = Filling(settings.table)
        self._reader = RulesetReader()
        self._generations = Generations(self._reader.generation)
        self.nft = OwnNft(open_nft, self._generations)
        self._former = FormerValues(settings.state, settings.table)
        self._entries: dict[Target, TcpOptions] = rules.complete(self._guarding, {})
        self._uses = Counter(self._entries.values())
        self._contents: Contents = {}
        self._owed = False  # the kernel may not have what `_entries` says
        self._undone = 0  # the last generation before the table was placed
        self.was_installed: bool | None = None

    def own_ports(self) -> frozenset[int]:
        """Netlink ports that our transactions come from, until this is closed; not all of them may be known."""
        with suppress(RealmGatewayError):  # what stands against it is told by `apply`
            return frozenset((self._filling.port, *self.nft.ports(self._reader, self._guarding.table)))
        return frozenset()

    def problems(self) -> Iterator[str]:
        """What a start would refuse, a line each; nothing is changed.

        Raises:
            RealmGatewayError: The kernel does not tell.
        """
        with client.route_socket() as channel:
            there = interfaces.addresses(channel)
        for name in self._guarding.outside:
            if name not in there:
                yield f"outside: there is no interface {name} (there are {', '.join(sorted(there))}): name another"
        for prefix in self._guarding.guarded:
            if client.is_own(str(prefix[min(1, prefix.num_addresses - 1)])):
                yield (
                    f"guarded: {prefix} is this machine's own (ip route get), and only what is forwarded can be: "
                    "let the node run on the router in front, or in a network namespace of its own before the gateway"
                )
        try:
            self._refuse_foreign()
            trial = attrs.evolve(self._guarding, table=f"{self._guarding.table}_probe")
            self.nft.run(rules.replacement(trial, rules.complete(trial, {})), dry=True)
        except PlatformError as error:
            yield str(error)
        except RealmGatewayError as error:
            yield f"{_CANNOT} ({error})"
        if client.read_sysctl(sysctls.LOOSE) is None:
            yield f"{sysctls.dotted(sysctls.LOOSE)} does not exist: load the module nf_conntrack"

    def doubts(self) -> Iterator[str]:
        """What may not work, a line each; nothing is changed.

        Of IPv6 the kernel's SYN proxy believes only checksums that were looked at before: by the card and its driver,
        or where segments are grouped.
        """
        for name in self._guarding.outside:
            if any(each.version == 6 for each in self._guarding.guarded) and seeing.groups(name) is False:
                yield (
                    f"{name} does not group what it receives (GRO): where the card does not look at checksums either, "
                    f"no SYN of IPv6 is answered; ethtool -K {name} gro on"
                )

    def apply(self) -> Placed:
        """Put everything in place; entries that an earlier run has left stay.

        Raises:
            PlatformError: Something is missing or in the way; the text says what to do. Nothing was changed.
            RealmGatewayError: Something was refused; the former table is still there, or the new one.
        """
        self.was_installed = None
        problems = "\n".join(self.problems())
        if problems:
            raise PlatformError(problems)
        found = self._standing()
        self.was_installed = found is not None
        adopted = {} if found is None else self._adopted()
        self._take(rules.complete(self._guarding, adopted))
        loose = {} if (value := client.read_sysctl(sysctls.LOOSE)) is None else {sysctls.LOOSE: value}
        unknown = self._former.remember(loose, standing=found is not None)
        self._place()
        changes = tuple(client.set_sysctls({sysctls.LOOSE: sysctls.REQUIRED[sysctls.LOOSE]}))
        return Placed(adopted, (*changes, *([] if unknown is None else [unknown])))

    def change(self, wanted: Mapping[Target, TcpOptions | None]) -> None:
        """Lead the kernel to these entries, in one transaction; by others before and behind it, objects come and go.

        Args:
            wanted: What becomes of some targets; None: no entry.

        Raises:
            RealmGatewayError: It was refused. SYNs are answered as before, or as they shall be, and the next `look`
                places the whole table.
        """
        steps = rules.changes(self._guarding, self._entries, self._uses, wanted)
        for target, options in wanted.items():
            self._set(target, options)
        if not steps.elements or self._owed:
            return
        self._owed = True
        self._filling.lead(steps, self.nft.run)
        self._owed = False
        if steps.before or steps.after:
            self._contents = self._read()

    def replace(self, wanted: Mapping[Target, TcpOptions]) -> None:
        """Have these entries and no others, in one transaction; raises as `change` does."""
        self._take(rules.complete(self._guarding, wanted))
        self._owed = True
        self._place()

    def look(self, noticed: Noticed) -> Findings:
        """Find out what is not as it should be, put back what can be, and tell the rest.

        Args:
            noticed: What was heard since the last time.
        """
        culprit = self._generations.culprit((INET, self._guarding.table), after=self._undone, until=math.inf)
        meddled = self._owed or noticed.lost or culprit.among(noticed.transactions) is not None
        things, errors = tuple(self._things()), list[str]()
        before = self._wrong(things, errors)
        if meddled or any(each.thing.kind is Kind.TABLE for each in before):
            attempt(self._place, errors)
        if any(each.thing.kind is Kind.SETTING for each in before):
            attempt(lambda: client.write_sysctl(sysctls.LOOSE, sysctls.REQUIRED[sysctls.LOOSE]), errors)
        left = self._wrong(things, []) if before else ()
        repaired = [str(each) for each in before if each.thing.is_ours and each not in left]
        if meddled and not any(each.thing.kind is Kind.TABLE for each in before):
            repaired.append(f"nftables table {self._guarding.table} may have other entries")
        findings = Findings(
            repaired=tuple(repaired),
            unexplained=dict.fromkeys((line for line in repaired if line.startswith(Kind.TABLE.value)), culprit),
            broken=(*(each.told for each in left), *errors, *self._not_forwarding()),
            doubtful=tuple(self.doubts()),
            disturbed=bool(repaired),
            things=things,
            left=left,
        )
        return findings.explained(noticed.transactions)

    def figures(self) -> dict[str, object]:
        """What the kernel has counted: the table's counters (packets), and those of its SYN proxy; in any thread.

        Raises:
            RealmGatewayError: The kernel does not tell.
        """
        counted = client.read_counters(self._guarding.table)
        return {**{name: count.packets for name, count in counted.items()}, **_statistics()}

    def purge(self) -> tuple[str, ...]:
        """Remove everything of ours, and put the kernel's setting back.

        Returns:
            What was done and what stays, one line each.

        Raises:
            PlatformError: A table of that name is somebody else's; nothing was done.
            RealmGatewayError: Something was refused; what was not reached yet is still there.
        """
        self._refuse_foreign()
        found = self._standing()
        value = client.read_sysctl(sysctls.LOOSE)
        present = {} if value is None else {sysctls.LOOSE: value}
        back = restoring(self._former.known(), present, found=found is not None)
        done = []
        if found is not None:
            self.nft.run(precondition("inet", self._guarding.table, found))
            done.append(f"nftables table inet {self._guarding.table} removed")
        done += [*client.set_sysctls({**back.first, **back.last}), *back.notes]
        self._former.forget()
        return tuple(done) or ("nothing of ours stands here",)

    def close(self) -> None:
        """Give back what is held; the kernel keeps what it has."""
        self._reader.close()
        self._filling.close()
        self.nft.close()

    def _place(self) -> None:
        """Place the whole table, which undoes whatever was done to it up to now."""
        now = self._reader.generation()
        self._refuse_foreign()
        found = self._standing()
        commands = precondition("inet", self._guarding.table, found)
        self.nft.run(commands + rules.replacement(self._guarding, self._entries))
        self._undone, self._owed = now, False
        self._contents = self._read()

    def _take(self, entries: dict[Target, TcpOptions]) -> None:
        self._entries, self._uses = entries, Counter(entries.values())

    def _set(self, target: Target, options: TcpOptions | None) -> None:
        before = self._entries.pop(target, None)
        if options is None and target in rules.DEFAULTS:
            options = self._guarding.default
        if before is not None:
            self._uses[before] -= 1
        if options is not None:
            self._entries[target] = options
            self._uses[options] += 1

    def _standing(self) -> nftables.Standing | None:
        with open_socket() as channel:
            return nftables.standing(channel, (INET, self._guarding.table), 1)

    def _refuse_foreign(self) -> None:
        found = self._standing()
        if found is not None and found.comment != rules.COMMENT:
            table = self._guarding.table
            raise PlatformError(f"table inet {table} is somebody else's: choose another `table`, or remove it yourself")

    def _adopted(self) -> dict[Target, TcpOptions]:
        """What stands in the maps; what can not be read is not there."""
        found: dict[Target, TcpOptions] = {}
        for name in MAPS:
            with suppress(RealmGatewayError):
                found.update(listed(name, self.nft.run(f"list map inet {self._guarding.table} {name}\n")))
        return found

    def _read(self) -> Contents:
        return codec.undisturbed(lambda: self._reader.undivided((INET, self._guarding.table)))

    def _table(self) -> str:
        found = self._read()
        if not found:
            return GONE
        different = nftables.difference(self._contents, found)
        return f"{CHANGED} ({', '.join(different[:NAMED])})" if different else AS_PLACED

    def _things(self) -> Iterator[Thing]:
        yield Thing(Kind.TABLE, self._guarding.table, AS_PLACED, needed=True)
        yield Thing(Kind.SETTING, sysctls.dotted(sysctls.LOOSE), str(sysctls.REQUIRED[sysctls.LOOSE]), needed=True)
        for name in self._guarding.outside:
            yield Thing(Kind.INTERFACE, name, UP, needed=True, remedy="no client comes in there: bring it up")

    def _wrong(self, things: tuple[Thing, ...], errors: list[str]) -> tuple[Deviation, ...]:
        found = {}
        for thing in things:
            try:
                found[thing.key] = self._is(thing)
            except (RealmGatewayError, OSError) as error:  # noqa: PERF203 - one is not seen, the next may be
                found[thing.key] = f"not to be seen ({error})"
                errors.append(str(error))
        return placed.compare(things, found)

    def _is(self, thing: Thing) -> str:
        if thing.kind is Kind.TABLE:
            return self._table()
        if thing.kind is Kind.SETTING:
            return str(client.read_sysctl(sysctls.LOOSE))
        return client.link_state(thing.name)

    def _not_forwarding(self) -> Iterator[str]:
        for version in sorted({each.version for each in self._guarding.guarded}):
            key = _FORWARDS[version]
            if client.read_sysctl(key) != 1:
                yield f"{sysctls.dotted(key)} is not 1: this machine forwards nothing to what it guards: set it"


def _statistics() -> dict[str, int]:
    """The sums over all processors; nothing where the kernel has no SYN proxy loaded."""
    try:
        names, *rows = STATISTICS.read_text().splitlines()
    except (OSError, ValueError):
        return {}
    columns = zip(*([int(word, 16) for word in _WORD.findall(row)] for row in rows), strict=False)
    return dict(zip(names.split()[1:], [sum(column) for column in columns][1:], strict=False))
