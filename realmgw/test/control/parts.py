"""A gateway for tests: files, a pool, and a kernel that notes what it is told."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock

from realmgw import config
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.records import Book
from realmgw.allocation.reputation.score import Rated
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.control.apply import Outcome, Parts, Reloader
from realmgw.control.health import Health
from realmgw.control.reputation import Reputations
from realmgw.control.running import Running
from realmgw.datapath.watch.keeper import Findings
from realmgw.errors import MalformedError
from realmgw.subscribers.files.folders import QUIET, Folders
from realmgw.subscribers.model import Directory, Host
from realmgw.subscribers.registry import Changes
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.test.config.test_schema import MINIMAL


class RecordingParts:
    """The kernel's side and the DNS server of a reload.

    Attributes:
        calls: What was done, in order.
        refusal: What the kernel says to the next change.
        bad_name: What the DNS server says to the next names.
        fault: What the DNS server raises when it is to use names.
        never_ends: What the kernel says when it is to end flows.
        hold: If set, the kernel answers when this fires.
        soon: Whether what guests had redirected might end later.
        findings: What a look at the kernel finds.
        welcomed: Addresses that the last reload has brought.
    """

    def __init__(self) -> None:
        """Begins with no calls."""
        self.calls: list[tuple[object, ...]] = []
        self.refusal: Exception | None = None
        self.bad_name: MalformedError | None = None
        self.fault: Exception | None = None
        self.never_ends: Exception | None = None
        self.soon = False
        self.hold: Deferred[None] | None = None
        self.findings = Findings()
        self.welcomed: set[bytes] = set()

    def change(self, settings: Settings, gone: tuple[Host, ...], came: tuple[Host, ...]) -> Deferred[None]:
        """Notes it."""
        if self.refusal is not None:
            return fail(self.refusal)
        self.calls.append(("kernel", [host.name for host in gone], [host.name for host in came]))
        return self.hold or succeed(None)

    def end_flows(self, gone: Collection[bytes], came: Collection[bytes], *, soon: bool) -> Deferred[int]:
        """Each address that is gone had one flow; of those that came, the portal was told before."""
        assert set(came) == self.welcomed
        self.soon = soon
        return succeed(len(gone)) if self.never_ends is None else fail(self.never_ends)

    def welcome(self, addresses: Collection[bytes]) -> None:
        """Notes it."""
        self.welcomed = set(addresses)

    def prepare(
        self, settings: Settings, directory: Directory, changes: Changes, secrets: config.Secrets
    ) -> Steps[Changes]:
        """Names are good unless `bad_name` says otherwise."""
        if self.bad_name is not None:
            raise self.bad_name
        yield None
        return changes

    def naming(self, changes: Changes) -> Steps[Changes]:
        """As `prepare`."""
        return self.prepare(None, None, changes, ())  # type: ignore[arg-type]  # it does not look at them

    def amending(self, names: Changes) -> Steps[None]:
        """As `commit`."""
        return self.commit(names)

    def restore(self) -> Deferred[Findings]:
        """What `findings` says; nothing is noted when nothing was put back."""
        if self.findings.repaired:
            self.calls.append(("restore",))
        return succeed(self.findings)

    def commit(self, prepared: Changes) -> Steps[None]:
        """Notes it."""
        if self.fault is not None:
            raise self.fault
        self.calls.append(("names", sorted(service.name for service in prepared.services)))
        yield from ()


class RecordingBook(Book):
    """Where reputations are kept.

    Attributes:
        forgotten: What is kept no more.
    """

    def __init__(self) -> None:
        """Nothing was forgotten."""
        self.forgotten: list[Rated] = []

    def forget(self, known: Rated) -> None:
        self.forgotten.append(known)


def _inline(blocking: Blocking) -> Deferred[Any]:
    """Nothing blocks here."""
    return maybeDeferred(blocking.call)


class TestGateway:
    """Files in a folder, and what is made of them.

    Attributes:
        parts: What notes what it is told.
        kept: Settings that were kept as the last good ones.
        told: Why what is written was not in force, after each reload.
        believed: What repositories have said, each time that it was found to be in force.
        events: Troubles that began, and those that are over with whether all is well.
        book: Where reputations are kept.
    """

    def __init__(self, folder: Path) -> None:
        """Writes a main file and two subscribers, and reads them."""
        (folder / "subscribers.d").mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / "realmgw.yaml"
        self.path.write_text(MINIMAL + "subscribers: [subscribers.d]\n")
        self.write("a.yaml", a="192.168.0.1", b="192.168.0.2")
        self.clock, self.parts, self.kept = Clock(), RecordingParts(), list[Settings]()
        self.told: list[tuple[str, ...]] = []
        self.believed: list[Snapshot] = []
        settings = config.load(self.path)
        self.running = Running(self.path, settings, Folders(lambda: 1e12, self.clock.seconds))
        self.running.believe = self.believed.append
        self.running.begin()
        networks = [prefix.network for prefix in settings.pools.circular]
        self.allocator = Allocator(
            settings.allocation, networks, now=0.0, policy=settings.policy, chance=Random(1).randbytes
        )
        self.events: list[str] = []
        self.health = Health(
            self.clock.seconds,
            lambda each: self.events.append(each.text),
            lambda each, is_well: self.events.append(f"{is_well}: {each.text}"),
        )
        told = self.health.tell_kept
        parts = Parts(
            self.parts,
            self.allocator,
            self.parts,
            lambda _new: None,
            self._keep,
            config.loading_all,
            self.told.append,
            _inline,
            told,
            self.parts.welcome,
        )
        self.reloader = Reloader(self.running, parts, self.clock, self.clock.seconds)
        self.book = RecordingBook()
        groups, requestors = self.allocator.groups, self.allocator.requestors
        self.reputations = Reputations(groups, requestors, self.book, self.reloader.drive, self.clock.seconds)

    def _keep(self, settings: Settings) -> Deferred[None]:
        self.kept.append(settings)
        return succeed(None)

    def write(self, name: str, **hosts: str) -> None:
        """Writes a subscriber file: labels of hosts and their addresses."""
        lines = (f"{label}.example.org: {{address: {address}}}\n" for label, address in hosts.items())
        (self.folder / "subscribers.d" / name).write_text("".join(lines))

    def reload(self, *, accepts_loss: bool = False, seconds: float = QUIET) -> list[Outcome]:
        """Reloads, and lets time pass until nothing is left to do; returns the outcome, once there is one."""
        found: list[Outcome] = []
        self.reloader.reload("a test", accepts_loss=accepts_loss).addCallback(found.append)
        self.pass_time()
        if not found and seconds:
            self.pass_time(seconds)
        return found

    def settle(self) -> None:
        """What is written has been read twice, some time apart, so that a reload believes it at once."""
        for _ in range(2):
            self.reloader.plan()
            self.pass_time(QUIET)

    def pass_time(self, seconds: float = 0.0) -> None:
        """Lets the clock go on until everything that is due is done."""
        self.clock.advance(seconds)
        for _ in range(1000):
            if not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                break
            self.clock.advance(0)

    @property
    def names(self) -> list[str]:
        """Every host that is in force."""
        return sorted(self.running.registry.directory.indices.by_name)


def only(outcomes: list[Outcome]) -> Outcome:
    """The only outcome."""
    [outcome] = outcomes
    return outcome
