"""Tests for `realmgw.metrics.service`."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parsed
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Metrics
from realmgw.errors import PlatformError
from realmgw.metrics.declared import at, gauge, histogram
from realmgw.metrics.service import TICK, TURN, MetricsService
from realmgw.metrics.text import OPENMETRICS, chosen
from realmgw.system.endpoints import Endpoint

HERE = Endpoint(ip_address("127.0.0.1"), 12346)
METRICS = (
    gauge("many", "How many.", at("many")),
    histogram("reactor_lag_seconds", "How late.", at("metrics.lag")),
)


class Reactor(MemoryReactorClock):
    """One whose unix sockets are files, at least."""

    def listenUNIX(self, address: Any, *args: Any, **how: Any) -> Any:
        """Makes one."""
        Path(address).touch()
        return super().listenUNIX(address, *args, **how)


class ServiceTestCase(SynchronousTestCase):
    """A service on a reactor of memory."""

    def make(self, *listen: Endpoint | PurePath, group: str | None = None) -> MetricsService:
        """One that listens there; what it reads is given by hand."""
        self.reactor = Reactor()
        self.reads: list[Deferred[Any]] = []
        service = MetricsService(Metrics(listen, group=group), METRICS, self.read, self.reactor, self.reactor.seconds)
        self.addCleanup(lambda: service.running and service.stopService())
        return service

    def read(self) -> Deferred[Any]:
        """Notes it."""
        self.reads.append(Deferred())
        return self.reads[-1]


class ScrapeTests(ServiceTestCase):
    """What is gathered."""

    def test_who_asks_meanwhile_gets_the_same(self) -> None:
        """In the same format; however many ask, what was counted is read once for each format."""
        service = self.make(HERE)
        plain = [service.scrape(chosen("")) for _ in range(5)]
        opened = service.scrape(chosen(OPENMETRICS))
        self.assertEqual(len(self.reads), 2)
        for each in self.reads:
            each.callback({"many": 7})
        said = b"# HELP realmgw_many How many.\n# TYPE realmgw_many gauge\nrealmgw_many 7.0\n"
        [text] = {self.successResultOf(each) for each in plain}
        self.assertTrue(text.endswith(said))
        self.assertTrue(self.successResultOf(opened).endswith(b"# EOF\n"))
        self.assertEqual((service.scraped, service.joined), (2, 4))

    def test_others_have_their_turn_meanwhile(self) -> None:
        """After half a millisecond each time, by a clock that goes on by a fifth of that whenever it is looked at."""
        many = tuple(gauge(f"g{number}", "G.", at("many")) for number in range(500))
        self.reactor, ticks, turns = Reactor(), count(), list[tuple[Any, ...]]()
        begin = self.reactor.callLater

        def later(*how: Any) -> Any:
            turns.append(how)
            return begin(*how)

        self.patch(self.reactor, "callLater", later)
        service = MetricsService(
            Metrics((HERE,)), many, lambda: succeed({"many": 7}), self.reactor, lambda: next(ticks) * TURN / 5
        )
        scraped = service.scrape(chosen(""))
        self.reactor.advance(0)
        self.successResultOf(scraped)
        self.assertGreater(len(turns), 8)

    def test_a_fault_is_everybodys_who_asked(self) -> None:
        """And the next one is asked anew."""
        service = self.make(HERE)
        asked = [service.scrape(chosen("")) for _ in range(2)]
        self.reads[0].errback(ValueError("x"))
        for each in asked:
            self.failureResultOf(each, ValueError)
        service.scrape(chosen(""))
        self.assertEqual(len(self.reads), 2)

    def test_how_late_timers_are_is_counted(self) -> None:
        """By one timer."""
        service = self.make(HERE)
        service.startService()
        for _ in range(3):
            self.reactor.advance(TICK)
        self.reactor.rightNow += 0.3  # it was busy
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        scraped = service.scrape(chosen(""))
        self.reads[0].callback({"metrics": service.counts()})
        values = {
            each.labels.get("le", each.name): each.value
            for family in parsed(self.successResultOf(scraped).decode())
            for each in family.samples
            if family.name.startswith("realmgw_")
        }
        self.assertEqual((values["0.001"], values["0.1"], values["0.25"], values["+Inf"]), (3.0, 3.0, 4.0, 4.0))
        self.assertAlmostEqual(values["realmgw_reactor_lag_seconds_sum"], 0.2)


class ListeningTests(ServiceTestCase):
    """Where it is asked."""

    def test_it_does_nothing_where_nobody_wants_it(self) -> None:
        """No port, no timer, nothing counted."""
        service = self.make()
        service.startService()
        self.assertEqual((self.reactor.tcpServers, self.reactor.getDelayedCalls(), service.counts()), ([], [], {}))
        self.successResultOf(service.stopService())

    def test_it_listens_at_addresses_and_paths(self) -> None:
        """And at none of them any more when it has stopped."""
        path = Path(self.mktemp()).absolute()
        service = self.make(HERE, PurePath(path))
        service.startService()
        self.assertEqual([(each[0], each[3]) for each in self.reactor.tcpServers], [(12346, "127.0.0.1")])
        self.assertEqual([each[0] for each in self.reactor.unixServers], [str(path)])
        self.successResultOf(service.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_can_not_be_had_is_told(self) -> None:
        """And nothing of it stays."""
        service = self.make(HERE)

        def taken(*args: Any, **kwargs: Any) -> None:
            raise CannotListenError("127.0.0.1", 12346, OSError(98, "in use"))

        self.reactor.listenTCP = taken  # type: ignore[method-assign]  # another has it
        said = "the metrics can not listen on TCP 127.0.0.1 port 12346: another program"
        with self.assertRaisesRegex(PlatformError, said):
            service.startService()
        self.assertFalse(service.running)
        nobody = self.make(PurePath(Path(self.mktemp()).absolute()), group="no-such-group")
        with self.assertRaisesRegex(PlatformError, "metrics.group: there is no group no-such-group"):
            nobody.startService()
        self.assertFalse(nobody.running)
