"""Tests for `realmgw.webproxy.servers`: servers of hosts that are looked at, brought and taken away around the map."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.terms import Look
from realmgw.config.webproxy import Health
from realmgw.test.webproxy.peer import PATH, MemoryHaproxy, MemoryMachine, service
from realmgw.webproxy.checked import name_of
from realmgw.webproxy.configuration import map_text
from realmgw.webproxy.names import Names
from realmgw.webproxy.telling import AGAIN, Counts, Telling


class ServersTests(SynchronousTestCase):
    """Names in memory, and a HAProxy in memory that holds its map to its servers at each line that it is told."""

    def setUp(self) -> None:
        """Two names that are looked at, one that is not; HAProxy has just begun with their map."""
        self.names, self.machine = Names(most=5000), MemoryMachine()
        self.put("a.example.org.", "b.example.org.")
        self.names.put(service("plain.example.org."))
        self.telling = self.begin()
        self.machine.after(0.3)

    def begin(self) -> Telling:
        """HAProxy begins."""
        self.heard: list[tuple[bool | None, str]] = []
        entries = dict(line.split() for line in map_text(self.names.routes).splitlines())
        self.machine.haproxy = self.haproxy = MemoryHaproxy(entries)
        counts, heard = Counts(), self.heard
        return Telling(self.names, Health(), "web.map", PATH, self.machine, counts, lambda *told: heard.append(told))

    def put(self, *names: str, **terms: Any) -> None:
        """Services come, or are different."""
        for name in names:
            self.names.put(service(name, **{"http_health": Look.CONNECT, "https_health": Look.REQUEST, **terms}))
        self.names.advance()

    def change(self, *names: str) -> None:
        """HAProxy is told of what has changed."""
        self.telling.change(name[:-1] for name in names)
        self.machine.after(0.3)

    def assert_in_step(self) -> None:
        """It has what it shall, and looks at it."""
        self.assertEqual(self.haproxy.entries, self.names.routes)
        self.assertEqual(self.haproxy.servers.keys(), self.haproxy.enabled)
        self.assertEqual(self.haproxy.servers.keys(), self.haproxy.watched)
        self.assertEqual({name_of(each) for each in self.haproxy.servers}, self.names.checked)
        self.assertEqual(self.heard[-1], (True, ""))

    def test_a_name_has_a_server_for_each_way_before_it_is_led_to_it(self) -> None:
        """It is looked at once the map leads there, which is asked for what is to be requested."""
        self.assert_in_step()
        self.assertEqual(len(self.haproxy.servers), 4)
        self.assertEqual(self.haproxy.entries["plain.example.org"], "192.0.2.1/80/443/no/no/no")
        said = ";".join(self.haproxy.lines)
        places = [said.index(word) for word in ("add server", "enable server", "set map", "enable health")]
        self.assertEqual(places, sorted(places))

    def test_another_place_is_another_server(self) -> None:
        """That before it goes when nobody is led to it any more."""
        before = set(self.haproxy.servers)
        self.put("a.example.org.", http_port=8080)
        self.change("a.example.org.")
        self.assert_in_step()
        self.assertEqual(len(before - self.haproxy.servers.keys()), 2)
        self.put("a.example.org.", http_port=8080, https_health=None, health_path="/other")
        self.change("a.example.org.")
        self.assert_in_step()
        self.names.drop("a.example.org.")
        self.names.put(service("b.example.org."))
        self.change("a.example.org.", "b.example.org.")
        self.assertEqual((self.haproxy.servers, self.names.checked), ({}, set()))

    def test_one_that_still_has_connections_goes_later(self) -> None:
        """It gets no more of them; whoever comes back meanwhile is led to it again."""
        self.haproxy.busy.update(each for each in self.haproxy.servers if name_of(each) == "a.example.org")
        for _ in range(2):
            self.names.drop("a.example.org.")
            self.change("a.example.org.")
            self.assertEqual(self.haproxy.busy & self.haproxy.enabled, set())
            self.assertEqual(len(self.haproxy.servers), 4)
            self.put("a.example.org.")
            self.change("a.example.org.")
            self.assert_in_step()
        self.names.drop("a.example.org.")
        self.change("a.example.org.")
        self.haproxy.busy.clear()
        self.change()
        self.assert_in_step()
        self.assertEqual(len(self.haproxy.servers), 2)
        told = len(self.haproxy.lines)
        self.change()
        self.assertEqual(len(self.haproxy.lines), told, "nothing is to be done")

    def test_whatever_somebody_has_done_is_put_right_after_a_refusal(self) -> None:
        """Servers that are gone, that are nobody's, and that are not looked at."""
        gone, unwatched, *_ = sorted(self.haproxy.servers)
        del self.haproxy.servers[gone]
        self.haproxy.enabled.discard(gone)
        self.haproxy.watched -= {gone, unwatched}
        self.haproxy.servers["http-hosts-connect/gone.example.org:0"] = ""
        self.haproxy.entries["b.example.org"] = self.haproxy.entries["plain.example.org"]
        self.haproxy.entries["a.example.org"] = self.haproxy.entries["plain.example.org"]
        self.haproxy.refusal = "Permission denied"
        self.put("c.example.org.")
        self.change("c.example.org.")
        self.assertIs(self.heard[-1][0], False)
        self.haproxy.refusal = ""
        self.machine.after(AGAIN + 0.5)
        self.assert_in_step()

    def test_one_that_is_started_again_gets_all_of_them_again(self) -> None:
        """Until then hosts are served without being looked at."""
        self.telling.end()
        self.telling = self.begin()
        self.assertEqual(set(self.haproxy.entries.values()), {"192.0.2.1/80/443/no/no/no"})
        self.machine.after(0.3)
        self.assert_in_step()

    def test_a_thousand_come_and_go_with_few_lines(self) -> None:
        """Those that have gone and still have connections do not make more of them."""
        names = [f"host{number}.example.org." for number in range(1000)]
        del self.haproxy.lines[:]
        self.put(*names)
        self.change(*names)
        self.machine.after(3.0)
        self.assert_in_step()
        self.assertLess(len(self.haproxy.lines), 120)
        self.haproxy.busy.update(self.haproxy.servers)
        for name in names:
            self.names.drop(name)
        self.change(*names)
        del self.haproxy.lines[:]
        self.change("a.example.org.")
        self.machine.after(1.0)
        self.assertLess(len(self.haproxy.lines), 10)
        self.haproxy.busy.clear()
        for _ in range(12):
            self.change()
        self.assert_in_step()
