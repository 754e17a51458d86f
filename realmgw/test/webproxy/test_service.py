"""Tests for `realmgw.webproxy.service`: HAProxy begins, ends, is missing, and begins again; names change meanwhile."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.certificates import bundle
from realmgw.config.haproxy import as_root
from realmgw.config.settings import Settings, Webproxy
from realmgw.config.steps import Blocking, finish
from realmgw.config.terms import Look
from realmgw.config.webproxy import Health
from realmgw.errors import PlatformError
from realmgw.subscribers.model import Directory, Host, Profile
from realmgw.subscribers.registry import Changes
from realmgw.test.datapath.pipeline.test_stages import staged
from realmgw.test.datapath.test_ruleset import SETTINGS
from realmgw.test.subscribers.authority import Authority
from realmgw.test.webproxy.peer import ADDRESS as SERVICE_ADDRESS
from realmgw.test.webproxy.peer import DOWN, PATH, MemoryHaproxy, MemoryMachine, service
from realmgw.webproxy import port
from realmgw.webproxy.service import FIRST_WAIT, LONGEST_WAIT, LOOK, STEADY, WebproxyService
from realmgw.webproxy.shelf import renewed

ADDRESS, OTHER = ip_address("192.0.2.130"), ip_address("192.0.2.131")
TERMINATED = 15


def settings(*addresses: Any, **how: Any) -> Settings:
    """A gateway's, with the proxy."""
    webproxy = Webproxy(**{"enabled": True, "runs_as": (108, 110), **how})
    pools = attrs.evolve(SETTINGS.pools, service=addresses or (ADDRESS,))
    return attrs.evolve(SETTINGS, webproxy=webproxy, pools=pools)


class ServiceTests(SynchronousTestCase):
    """One service of one host, and HAProxy in memory."""

    def setUp(self) -> None:
        """It does not run."""
        self.machine = MemoryMachine()
        self.services = {"www.example.org.": service("www.example.org.")}
        self.troubles: tuple[str, ...] = ()
        self.refusal = ""
        self.weak: str | None = None
        self.prepared: list[Any] = []
        self.proxy = self.make(settings())

    def make(self, how: Settings, path: Path = PATH) -> WebproxyService:
        """A service."""
        directory = Directory(self.services, {})
        return WebproxyService(how, directory, path, self.machine, self.elsewhere, self.tell)

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """HAProxy's files are written, which takes no time here; what would be written is kept."""
        call: Any = blocking.call
        if call.func is renewed:
            return succeed(call())
        if self.weak is not None and self.weak in (call.args[2] / "web.list").read_text():
            return fail(port.RefusedError(PATH, b"[ALERT] (1) : unable to load '%s'" % self.weak.encode()))
        self.prepared.append(call.args)
        if not self.refusal:
            self.machine.haproxy = MemoryHaproxy(dict(line.split() for line in call.args[4]().splitlines()))
        return fail(PlatformError(self.refusal)) if self.refusal else succeed(None)

    def tell(self, lines: tuple[str, ...]) -> None:
        """What is wrong."""
        self.troubles = lines

    def start(self) -> None:
        """It runs."""
        self.proxy.startService()
        self.machine.after(0.2)
        self.assertEqual(self.shown()["state"], "in step")

    def end(self, status: int = 0, said: bytes = b"") -> None:
        """HAProxy ends."""
        self.machine.haproxy = None
        self.machine.started[-1].end(status, said)

    def shown(self, within: float = 0.02) -> Any:
        """How it is."""
        done = self.proxy.show()
        self.machine.after(within)
        return self.successResultOf(done)

    def note(self, *came: str, gone: tuple[str, ...] = ()) -> None:
        """Services come and go."""
        changes = Changes(names_gone=list(gone), services=[service(name) for name in came])
        self.services.update({each.name: each for each in changes.services})
        finish(self.proxy.noting(changes))

    def test_nothing_is_done_where_it_is_not_asked_for(self) -> None:
        """Nor remembered."""
        self.proxy = self.make(settings(enabled=False))
        self.proxy.startService()
        self.note("more.example.org.")
        self.machine.after(1.0)
        self.assertEqual((self.shown()["state"], self.proxy.counts()), ("off", {}))
        self.assertEqual((self.prepared, self.machine.commands), ([], []))
        self.successResultOf(self.proxy.stopService())

    def test_it_begins_without_a_certificate_that_it_refuses(self) -> None:
        """At once; the name that it was for has none, and others have theirs."""
        root = Path(self.mktemp()).absolute()
        (root / "certificates").mkdir(parents=True)
        authority = Authority(root)
        names = "www.example.org", "more.example.org"
        for name in names:
            self.services[f"{name}."] = service(f"{name}.", tls_termination=True)
            content = b"".join(path.read_bytes() for path in authority.issue(name))
            (root / "certificates" / f"{name}.pem").write_bytes(content)
            self.weak = f"web.certificates/{bundle(f'{name}.pem', content).key}"
        self.proxy = self.make(settings(certificates=root / "certificates"), root / "web")
        self.proxy.startService()
        self.machine.after(0.2)
        shown = self.shown(0.5)
        self.assertEqual((shown["state"], shown["uncertified"]), ("in step", ["more.example.org"]))
        self.assertEqual((len(self.prepared), shown["counts"]["failures"]), (1, 0))
        self.assertIn("more.example.org.pem: HAProxy refuses it: unable to load", " ".join(shown["wrong"]))

    def test_it_begins_with_all_names_and_is_told_of_changes(self) -> None:
        """Without being started anew."""
        self.start()
        self.assertEqual(
            self.machine.commands,
            [[*as_root(), "/usr/sbin/haproxy", "-C", "/var/lib/realmgw", "-db", "-f", "webproxy-0123.cfg"]],
        )
        haproxy = self.machine.haproxy
        assert haproxy is not None
        self.assertEqual(list(haproxy.entries), ["www.example.org"])
        self.note("more.example.org.", gone=("www.example.org.",))
        self.machine.after(0.2)
        self.assertEqual(list(haproxy.entries), ["more.example.org"])
        counts = self.shown()["counts"]
        self.assertEqual((counts["names"], counts["starts"], counts["changes"], counts["http_requests"]), (1, 1, 2, 75))
        self.assertEqual(self.troubles, ())

    def test_what_changes_while_names_are_found_or_it_is_starting_is_not_missed(self) -> None:
        """Whichever is first."""
        self.services.update(
            {each.name: each for each in (service(f"{number}.example.org.") for number in range(2000))}
        )
        self.proxy.startService()
        self.machine.advance(0.01)
        del self.services["1999.example.org."]
        self.note("first.example.org.", gone=("1999.example.org.",))
        self.machine.after(0.06)
        self.note("second.example.org.", gone=("1998.example.org.",))
        self.machine.after(0.5)
        assert self.machine.haproxy is not None
        self.assertEqual(len(self.machine.haproxy.entries), 2001)
        self.assertTrue({"first.example.org", "second.example.org"} <= self.machine.haproxy.entries.keys())

    def test_one_that_ends_is_started_again_and_that_is_told(self) -> None:
        """With its last words; at once at first, and less and less often."""
        self.start()
        self.end(1, b"[NOTICE] (1) : hello\n[ALERT] (1) : can not bind\n")
        self.assertEqual(self.troubles, ("web proxy: HAProxy has ended with status 1: can not bind",))
        self.machine.after(FIRST_WAIT + 0.2)
        self.assertEqual((self.shown()["state"], self.troubles), ("in step", ()))
        waits = []
        for _ in range(12):
            self.end(1)
            begun, began = len(self.machine.started), self.machine.seconds()
            while len(self.machine.started) == begun:
                self.machine.after(0.1)
            waits.append(round(self.machine.seconds() - began, 1))
        self.assertEqual((waits[0], round(waits[-1])), (0.4, LONGEST_WAIT))
        self.machine.after(STEADY)
        self.end(1)
        self.machine.after(FIRST_WAIT + 0.2)
        self.assertEqual(self.shown()["state"], "in step")

    def test_one_that_can_not_be_started_is_told_and_tried_again(self) -> None:
        """Whatever it is that is missing."""
        self.refusal = "there is no program: apt install haproxy"
        self.proxy.startService()
        self.machine.after(0.1)
        self.assertEqual(self.troubles, ("web proxy: there is no program: apt install haproxy",))
        self.assertEqual((self.shown()["state"], self.machine.commands), ("waiting", []))
        self.refusal, self.machine.is_missing = "", True
        self.machine.after(1.0)
        self.assertIn("No such file", self.troubles[0])
        self.machine.is_missing = False
        self.machine.after(3.0)
        self.assertEqual((self.shown()["state"], self.troubles), ("in step", ()))

    def test_without_an_address_it_waits_for_one(self) -> None:
        """A reload may bring it."""
        self.proxy = self.make(attrs.evolve(settings(), pools=attrs.evolve(SETTINGS.pools, service=())))
        self.proxy.startService()
        self.machine.after(0.1)
        self.assertIn("pools.service is empty", self.troubles[0])
        self.proxy.configure(settings())
        self.machine.after(1.0)
        self.assertEqual(self.shown()["state"], "in step")

    def test_other_addresses_start_it_anew(self) -> None:
        """The same ones, in whatever order, do not."""
        self.proxy = self.make(settings(ADDRESS, OTHER))
        self.start()
        self.proxy.configure(settings(OTHER, ADDRESS))
        self.assertEqual(self.machine.started[0].signals, [])
        self.proxy.configure(settings(OTHER))
        self.assertEqual(self.machine.started[0].signals, ["TERM"])
        self.end(TERMINATED)
        self.machine.after(0.2)
        self.assertEqual((self.shown()["state"], self.shown()["listens"]), ("in step", [str(OTHER)]))
        self.assertEqual((self.prepared[-1][1], self.shown()["counts"]["failures"]), ((OTHER,), 0))

    def test_groups_that_ask_who_sends_from_now_on_are_withheld(self) -> None:
        """Until they do not; HAProxy goes on."""
        host = Host(1, "group.example.org.", SERVICE_ADDRESS, Profile(groups=("asks",)))
        self.services["www.group.example.org."] = service("www.group.example.org.", host)
        self.start()
        haproxy = self.machine.haproxy
        assert haproxy is not None
        rule = "{priority: 1, direction: INGRESS, src: 203.0.113.0/24, target: DROP}"
        for groups, is_routed in ((f"asks: {{rules: [{rule}]}}", False), ("asks: {}", True)):
            self.proxy.configure(staged(f"{{groups: {{{groups}}}}}", settings()))
            self.machine.after(0.2)
            self.assertEqual("www.group.example.org" in haproxy.entries, is_routed)
            self.assertIn("www.example.org", haproxy.entries)
        self.assertEqual(self.machine.started[0].signals, [])

    def test_hosts_that_are_not_well_are_shown(self) -> None:
        """With the reason, and for how long; also those beyond the most that are looked at."""
        self.proxy = self.make(settings(health=Health(most=2)))
        for name in ("a.example.org.", "b.example.org.", "c.example.org."):
            self.services[name] = service(name, http_health=Look.REQUEST)
        self.start()
        haproxy = self.machine.haproxy
        assert haproxy is not None
        [haproxy.states] = [{each: DOWN} for each in haproxy.servers if "a.example.org" in each]
        shown = self.shown()
        self.assertEqual(
            shown["ill"],
            [{"name": "a.example.org", "by": "http", "since": 12.0, "reason": "Layer7 wrong status, 503, Try, later"}],
        )
        self.assertEqual([shown["counts"][each] for each in ("well", "ill", "unchecked")], [1, 1, 1])
        self.assertEqual(self.troubles, ("web proxy: 1 names are not looked at: webproxy.health.most is 2",))
        self.note(gone=("a.example.org.",))
        self.machine.after(LOOK + 0.3)
        self.assertEqual([self.proxy.counts()[each] for each in ("well", "ill", "unchecked")], [2, 0, 0])
        self.assertEqual(len(haproxy.servers), 2)
        self.end(1)
        self.assertEqual(self.proxy.counts()["well"], 0)
        self.machine.after(FIRST_WAIT + 0.5)
        self.assertEqual(self.shown()["counts"]["well"], 2)

    def test_one_that_does_not_tell_its_figures_is_told(self) -> None:
        """Until it does."""
        self.start()
        haproxy = self.machine.haproxy
        assert haproxy is not None
        haproxy.is_silent = True
        self.machine.after(2 * LOOK + 1.0)
        self.assertEqual(self.troubles, ("web proxy: HAProxy does not tell its figures: HAProxy does not answer",))
        haproxy.is_silent = False
        self.machine.after(2 * LOOK)
        self.assertEqual(self.troubles, ())

    def test_while_it_is_closed_none_runs(self) -> None:
        """Whatever happens meanwhile; afterwards it has the names of then."""
        self.start()
        closed = self.proxy.close(closed=True)
        self.assertEqual((self.machine.started[0].signals, self.shown()["state"]), (["TERM"], "closed"))
        self.assertNoResult(closed)
        self.end(TERMINATED)
        self.successResultOf(closed)
        self.note("more.example.org.")
        self.successResultOf(self.proxy.close(closed=True))
        self.machine.after(60.0)
        self.assertEqual((len(self.machine.started), self.troubles), (1, ()))
        self.successResultOf(self.proxy.close(closed=False))
        self.machine.after(0.2)
        assert self.machine.haproxy is not None
        self.assertEqual((self.shown()["state"], len(self.machine.haproxy.entries)), ("in step", 2))

    def test_one_that_waits_is_closed_as_well(self) -> None:
        """And begins at once afterwards."""
        self.refusal = "no"
        self.proxy.startService()
        self.machine.after(0.1)
        self.successResultOf(self.proxy.close(closed=True))
        self.refusal = ""
        self.machine.after(60.0)
        self.assertEqual((self.machine.started, self.shown()["state"]), ([], "closed"))
        self.proxy.close(closed=False)
        self.machine.after(0.2)
        self.assertEqual(self.shown()["state"], "in step")

    def test_closed_while_its_files_are_written_it_does_not_begin(self) -> None:
        """Nor twice, when it may again meanwhile."""
        waiting = list[Deferred[None]]()

        def later(blocking: Blocking) -> Deferred[None]:
            self.elsewhere(blocking)
            waiting.append(Deferred())
            return waiting[-1]

        self.proxy._elsewhere = later
        self.proxy.startService()
        self.machine.after(0.1)
        self.proxy.close(closed=True)
        self.proxy.close(closed=False)
        for each in waiting:
            each.callback(None)
        self.machine.after(0.2)
        self.assertEqual((len(waiting), len(self.machine.started), self.shown()["state"]), (2, 1, "in step"))

    def test_it_ends_with_the_gateway(self) -> None:
        """By force if it must; nothing is left to be done, nor told."""
        self.start()
        done = self.proxy.stopService()
        self.assertEqual(self.machine.started[0].signals, ["TERM"])
        self.machine.after(2.1)
        self.assertEqual(self.machine.started[0].signals, ["TERM", "KILL"])
        self.assertNoResult(done)
        self.end(9)
        self.successResultOf(done)
        self.machine.after(60.0)
        self.assertEqual((self.troubles, self.machine.getDelayedCalls()), ((), []))
        self.assertEqual(len(self.machine.started), 1)

    def test_a_stop_while_it_waits_or_begins_is_one(self) -> None:
        """No HAProxy is started afterwards."""
        self.refusal = "no"
        self.proxy.startService()
        self.machine.after(0.1)
        self.successResultOf(self.proxy.stopService())
        self.refusal = ""
        self.machine.after(60.0)
        self.assertEqual(self.machine.started, [])
