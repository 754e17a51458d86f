"""Hosts that are registered while the gateway runs: reached by name, moved, removed, and there after a kill."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber

THIRD = "192.168.0.102"
MANY, AT_ONCE = 1000, 16
FEW, WHILE = 4, 5
"""So many come and go at once, each so many registrations later."""


class LeaseTests(RealmTestCase):
    """Three hosts, of which a file knows one."""

    hosts: ClassVar[int] = 3

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """That one."""
        return [Subscriber("one.gwa.demo.", FIRST)]

    def do(self, command: str, **given: str) -> Any:
        """Asks the gateway."""
        return ask(self.gateway.control, f"leases/{command}", given)

    def tearDown(self) -> None:
        """Nothing is registered."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda row: self.do("remove", name=row["name"]), self.do("list")["leases"]))

    def fetch(self) -> str:
        """Who answers by the registered name."""
        return self.public(client.fetch(self.ask("h.gwa.demo")))

    def flows(self) -> str:
        """All that conntrack has."""
        return self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout

    def test_a_host_is_reached_as_soon_as_it_is_registered(self) -> None:
        """Where it moves to, too; then the flows of its former address end soon; when it is removed, all of it does."""
        self.do("add", name="h.gwa.demo", address=SECOND)
        self.assertEqual(self.fetch(), SECOND)
        with ThreadPoolExecutor(1) as pool:
            ends = self.download(pool, "h.gwa.demo", 6_000_000)
            self.do("add", name="h.gwa.demo", address=THIRD)
            self.assertEqual(self.fetch(), THIRD)
            self.assertTrue(until(lambda: f"src={SECOND} " not in self.flows()))
            self.assertIsNotNone(ends.exception(30.0))
        self.do("remove", name="h.gwa.demo")
        self.assertRaises(LookupError, self.ask, "h.gwa.demo")
        self.assertNotIn(f"src={THIRD} ", self.flows(), "who removes it by hand waits for that")
        self.assertNotIn(THIRD, self.testbed.run("gwa", ["nft", "list", "table", "inet", "realmgw"]).stdout)

    def test_a_registration_ends_when_nobody_refreshes_it(self) -> None:
        """By its own time."""
        self.do("add", name="h.gwa.demo", address=SECOND, lifetime="1")
        self.assertEqual(self.fetch(), SECOND)
        deadline = time.monotonic() + 30.0
        while ask(self.gateway.control, "status")["hosts"] > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertRaises(LookupError, self.ask, "h.gwa.demo")

    def test_what_is_registered_is_there_after_a_kill(self) -> None:
        """From the first answer on."""
        self.do("add", name="h.gwa.demo", address=SECOND)
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(self.fetch(), SECOND)

    def test_what_was_answered_is_there_after_a_kill_while_others_come_and_go(self) -> None:
        """Who was told that he is registered is, and who was told that he is removed is not."""
        there: dict[str, str] = {}
        gone: set[str] = set()

        def come_and_go(number: int) -> None:
            with contextlib.suppress(CommandError, OSError):  # the gateway was killed
                for count in range(1000):
                    name, address = f"h{number}-{count}.gwa.demo.", f"192.168.0.{120 + number * 10 + count % 10}"
                    self.do("add", name=name, address=address)
                    there[name] = address
                    if count >= WHILE:
                        former = f"h{number}-{count - WHILE}.gwa.demo."
                        there.pop(former)
                        self.do("remove", name=former)
                        gone.add(former)

        with ThreadPoolExecutor(FEW) as pool:
            doing = [pool.submit(come_and_go, number) for number in range(FEW)]
            self.assertTrue(until(lambda: len(gone) > 3 * FEW or all(each.done() for each in doing)))
            self.gateway.kill()
            for each in doing:
                each.result()
        self.assertGreater(len(gone), FEW)
        self.gateway.start()
        found = {row["name"]: row["addresses"] for row in self.do("list")["leases"]}
        self.assertEqual({name: found.get(name) for name in there}, {name: [each] for name, each in there.items()})
        self.assertEqual(gone & found.keys(), set())
        self.assertEqual({len(addresses) for addresses in found.values()}, {1})

    def test_what_belongs_to_others_is_refused(self) -> None:
        """The gateway's own address, a subscriber's, and one that is on no LAN."""
        own = self.testbed.run("gwa", ["ip", "-4", "-br", "address"]).stdout
        [gateway] = {word.partition("/")[0] for word in own.split() if word.startswith("192.168.0.")}
        for address, said in (
            (gateway, "the gateway's own address"),
            (FIRST, "belongs to one.gwa.demo."),
            ("10.9.9.9", "lies in no network of a LAN"),
        ):
            error = self.assertRaises(CommandError, self.do, "add", name="h.gwa.demo", address=address)
            self.assertIn(said, str(error))
        self.assertEqual(self.do("list")["total"], 0)

    def test_a_thousand_hosts_are_registered_at_once(self) -> None:
        """Each of them on disk and in the kernel when it is answered."""
        self.testbed.run("gwa", ["ip", "route", "replace", "10.1.0.0/16", "dev", "lan0"])
        self.gateway.stop()
        self.gateway.start()  # now it knows that they are on the LAN

        def register(number: int) -> None:
            self.do("add", name=f"h{number}.gwa.demo", address=f"10.1.{number // 250}.{number % 250 + 1}")

        begin = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(register, range(MANY)))
        took = time.monotonic() - begin
        status = ask(self.gateway.control, "status")
        self.assertEqual((status["hosts"], status["counts"]["leases"]["registered"]), (MANY + 1, MANY))
        self.assertIn("10.1.3.250", self.testbed.run("gwa", ["nft", "list", "table", "inet", "realmgw"]).stdout)
        print(f"{MANY} hosts in {took:.2f} s, {MANY / took:.0f} a second")  # noqa: T201 - a figure for docs/updates.md
