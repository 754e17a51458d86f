"""A kernel that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from realmgw.config import settings
from realmgw.datapath.apply import Applied
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Host


class RecordingKernel:
    """A kernel that notes what it is told (`realmgw.datapath.apply.Kernel` puts it into a real one).

    Attributes:
        calls: Name and arguments of each call, in order.
        befores: The hosts that each `change` was told to begin with.
        refusal: If set, each call that changes something raises it.
        counters: What `figures` has of them.
        wrong: What the next `look` finds and puts back.
        findings: What a `look` finds besides.
        heard: What each `look` was told.
        applied: What `apply` returns: a machine that has everything, nothing to change, nothing to warn of.
        was_installed: Whether the table stood before.
        classes: None.
        placements: How often something was placed.
        breaks: If set, the next `apply` raises it, after it was noted and has placed something.
    """

    def __init__(self) -> None:
        """Begins with no calls."""
        self.calls: list[tuple[object, ...]] = []
        self.befores: list[tuple[Host, ...]] = []
        self.hastes: list[bool] = []
        self.refusal: Exception | None = None
        self.counters = {"presented": Count(packets=1, octets=60)}
        self.was_installed: bool | None = True
        self.classes = Classes()
        self.breaks: Exception | None = None
        self.placements = 0
        self.wrong: tuple[str, ...] = ()
        self.findings = Findings()
        self.heard: list[Noticed] = []
        found = Capabilities(privileges=0, lowest_port=0, missing=())
        self.applied = Applied(found=found, changes=(), warnings=())

    def own_ports(self) -> frozenset[int]:
        """One."""
        return frozenset((5,))

    def apply(self, hosts: Iterable[Host]) -> Applied:
        """Notes it, and returns `applied`."""
        self._note("apply", hosts)
        if self.breaks is not None:
            raise self.breaks
        return self.applied

    def change(self, settings: settings.Settings, hosts: HostChange) -> None:
        """Notes it: settings, hosts that are gone, and hosts that came; those of before in `befores`."""
        self.befores.append(tuple(hosts.before.values()))
        self._note("change", settings, hosts.gone, hosts.came)

    def end_flows(self, gone: Iterable[bytes], came: Iterable[bytes], is_awaited: Callable[[], bool]) -> int:
        """Notes it, and in `hastes` whether somebody waits for it; each address that is gone had one flow."""
        self.hastes.append(is_awaited())
        self._note("end_flows", gone, came)
        return len(tuple(gone))

    def add_strays(self, sources: Iterable[bytes]) -> None:
        """Notes it."""
        self._note("add_strays", sources)

    def ban(self, left: Mapping[bytes, float]) -> None:
        """See `Kernel.ban`."""
        self._note("ban", left)

    def ask_twice(self, *, asked: bool) -> None:
        """See `Kernel.ask_twice`."""
        self._note("ask_twice", asked)

    def purge(self) -> tuple[str, ...]:
        """Has something to tell."""
        self._note("purge")
        return ("purged",)

    def close(self) -> None:
        """Notes it; never refused."""
        self.calls.append(("close",))

    def look(self, noticed: Noticed, hosts: Callable[[], Iterable[Host]]) -> Findings:
        """Notes what was heard; whatever is in `wrong` is put back, with the hosts, unless that is refused."""
        self.heard.append(noticed)
        if not self.wrong:
            return self.findings
        try:
            self._note("repair", tuple(hosts()))
        except RealmGatewayError as error:
            return Findings(broken=(*self.wrong, str(error)))
        repaired, self.wrong = self.wrong, ()
        return attrs.evolve(self.findings, repaired=repaired, disturbed=True)

    def figures(self) -> tuple[dict[str, Count], QueueFigures | None]:
        """What `counters` says; nobody listens at the queue."""
        return self.counters, None

    def _note(self, *call: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(call)
