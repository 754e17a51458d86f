"""What the tests of the whole gateway share: one testbed and one gateway for each class."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dnat
from realmgw.test.kernel import requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client, host
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Gateway, Subscriber
    from testbed.realm.topology import Testbed

R = TypeVar("R")

PREFIX = f"e{os.getpid()}-"
"""What the names of the namespaces begin with."""
FIRST, SECOND = "192.168.0.100", "192.168.0.101"
"""The private hosts."""


def take_down() -> None:
    """Takes the running testbed down, if there is one."""
    running, RealmTestCase.running = RealmTestCase.running, None
    if running is not None:
        running[1].close()


atexit.register(take_down)


class RealmTestCase(SynchronousTestCase):
    """One testbed and one gateway for all tests of a class.

    Trial has no set-up of classes, so the first test makes them; they go when a test of another class begins, or with
    the process.
    """

    skip = requirements.missing_for_gateway()
    hosts: ClassVar[int] = 2
    clients: ClassVar[int] = 5
    resolvers: ClassVar[bool] = False
    circular: ClassVar[Sequence[Mapping[str, str]]] = ()
    dnat: ClassVar[Dnat] = Dnat.MAP
    settings: ClassVar[Mapping[str, Any]] = {}
    before: ClassVar[Sequence[str]] = ()
    running: ClassVar[tuple[type[RealmTestCase], Testbed, Gateway] | None] = None

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        return [Subscriber("one.gwa.demo.", FIRST), Subscriber("two.gwa.demo.", SECOND)]

    def setUp(self) -> None:
        """Builds the testbed and starts the gateway, unless an earlier test of this class did."""
        if RealmTestCase.running is None or RealmTestCase.running[0] is not type(self):
            take_down()
            RealmTestCase.running = (type(self), *self.build())
        _, self.testbed, self.gateway = RealmTestCase.running

    def build(self) -> tuple[Testbed, Gateway]:
        """A testbed with a gateway that serves."""
        testbed = Testbed(PREFIX, hosts=self.hosts, clients=self.clients, resolvers=self.resolvers).__enter__()
        try:
            host.start(testbed)
            gateway = self.make(testbed)
            gateway.start()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def make(self, testbed: Testbed) -> Gateway:
        """A gateway in it, which is not started yet."""
        pool, datapath = self.circular or (ON_LINK_POOL, ROUTED_POOL), {"dnat": self.dnat.value}
        settings = {"datapath": datapath, **self.settings}
        return Gateway(testbed, self.subscribers(), circular=pool, settings=settings, before=self.before)

    def public(self, doing: Coroutine[Any, Any, R]) -> R:
        """What a public client does."""
        return self.testbed.call("public", asyncio.run, doing)

    def ask(self, name: str) -> str:
        """The address that a public client is answered."""
        return self.public(client.address_of(name))

    def unreachables(self) -> int:
        """How many ICMP destination-unreachable messages the public clients have received."""
        with self.testbed.inside("public"):
            lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        fields, values = (line.split() for line in lines if line.startswith("Icmp:"))
        return int(values[fields.index("InDestUnreachs")])

    def assert_refused(self, number: int, unreachables: int, doing: Coroutine[Any, Any, object]) -> None:
        """A flow fails with an error, and that was told by so many ICMP messages (none: by TCP RST)."""
        before = self.unreachables()
        error = self.assertRaises(OSError, self.public, doing)
        self.assertEqual((number, unreachables), (error.errno, self.unreachables() - before))

    def download(self, pool: ThreadPoolExecutor, name: str, size: int) -> Future[client.Download]:
        """A download at a megabyte per second, already under way."""
        address, begun = self.ask(name), Future[None]()

        def progress(octets: int) -> None:
            if octets and not begun.done():
                begun.set_result(None)

        path = f"/download?bytes={size}&rate=1000000"
        doing = client.download(address, 80, path, timeout=20.0, progress=progress)
        running = pool.submit(self.public, doing)
        begun.result(20.0)
        return running
