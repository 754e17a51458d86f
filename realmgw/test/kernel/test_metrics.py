"""What a monitoring system hears from a gateway that works: by its own library, before and after queries and flows."""

from __future__ import annotations

import contextlib
import http.client
import socket
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_open
from prometheus_client.parser import text_string_to_metric_families as parsed

from realmgw.control.command.client import follow
from realmgw.metrics.gateway import GATEWAY
from realmgw.metrics.text import OPENMETRICS
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase
from realmgw.test.metrics import promtool

if TYPE_CHECKING:
    from collections.abc import Mapping

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import GATEWAY_LAN, ON_LINK

PORT = 9100
PATIENCE = 30.0  # seconds


class UnixConnection(http.client.HTTPConnection):
    """HTTP by a unix socket, whose path is given as the host."""

    def connect(self) -> None:
        """Goes there."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.host)


def get(connection: http.client.HTTPConnection, accept: str = "*/*") -> tuple[str, str]:
    """The metrics by a connection: their media type, and the text."""
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == http.client.OK, (answer.status, text)
        return answer.headers["Content-Type"], text


class MetricsTests(RealmTestCase):
    """A gateway that tells its metrics to itself, to one host of the LAN, and at a socket."""

    settings: ClassVar[Mapping[str, Any]] = {}
    folder: ClassVar[tempfile.TemporaryDirectory[str]]

    def build(self) -> Any:
        """It has a socket in a folder that goes with the process."""
        type(self).folder = tempfile.TemporaryDirectory(prefix="realmgw-")
        listen = ["127.0.0.1", f"{GATEWAY_LAN}:{PORT}", f"{self.folder.name}/metrics.sock"]
        type(self).settings = {"metrics": {"listen": listen, "clients": ["127.0.0.0/8", SECOND]}}
        return super().build()

    def scrape(self, accept: str = "*/*") -> tuple[str, str]:
        """What the gateway tells itself."""
        return self.testbed.call("gwa", lambda: get(http.client.HTTPConnection("127.0.0.1", 12346, PATIENCE), accept))

    def values(self) -> dict[str, float]:
        """The values, by names and labels as they are written."""
        found = [each for family in parsed(self.scrape()[1]) for each in family.samples]
        return {
            f"{each.name}{{{','.join(f'{name}={value}' for name, value in sorted(each.labels.items()))}}}": each.value
            for each in found
        }

    def test_what_happens_is_told(self) -> None:
        """A query, a flow, a packet that nobody is waited for with; and how the gateway is."""
        before = self.values()
        self.assertEqual(self.public(client.fetch(self.ask("one.gwa.demo"))), FIRST)
        self.assertRaises(OSError, self.public, client.fetch(ON_LINK[-1], 81, timeout=0.5))
        after = self.values()
        grown = {name: after[name] - before.get(name, 0.0) for name in after if after[name] != before.get(name)}
        for name in (
            "realmgw_dns_queries_total{face=wan}",
            "realmgw_dns_answers_total{face=wan,outcome=reserved,rcode=noerror}",
            "realmgw_claims_total{book=ipv4,event=made}",
            "realmgw_first_packets_total{book=ipv4,event=by_claim}",
            "realmgw_admission_admitted_total{}",
            "realmgw_admission_refusals_total{reason=no_reservation}",
            "realmgw_datapath_packets_total{counter=presented}",
            "realmgw_datapath_packets_total{counter=refused_tcp}",
            "realmgw_queue_packets_total{}",
            "realmgw_metrics_requests_total{result=scraped}",
        ):
            self.assertGreaterEqual(grown.get(name, 0.0), 1.0, name)
        for name, value in {"health{state=healthy}": 1.0, "hosts{}": 2.0, "config_info{hash=": None}.items():
            [found] = [each for each in after if each.startswith(f"realmgw_{name}")]
            self.assertIn(after[found], (value, 1.0) if value is None else (value,))
        self.assertGreater(after["realmgw_conntrack_entries{}"], 0.0)
        self.assertIn("realmgw_reactor_lag_seconds_count{}", after)
        self.assertGreater(after["process_resident_memory_bytes{}"], 1e7)
        self.assertLess(after["realmgw_metrics_longest_slice_seconds{}"], 0.1)

    def test_promtool_has_nothing_to_say(self) -> None:
        """Of how metrics are named and told, flows included; it has something to say of one that is named badly."""
        if reason := promtool.missing():
            self.skipTest(reason)
        self.assertEqual(self.public(client.fetch(self.ask("one.gwa.demo"))), FIRST)
        text = self.scrape()[1]
        self.assertEqual(promtool.found_in(text), (0, ""))
        status, said = promtool.found_in(text.replace("realmgw_claims_total", "realmgw_claims"))
        self.assertIn('realmgw_claims counter metrics should have "_total" suffix', said)
        self.assertNotEqual(status, 0)

    def test_openmetrics_is_told_as_well(self) -> None:
        """To whoever asks for it; every metric is one that is declared, and nothing has a name or an address."""
        self.assertEqual(self.public(client.fetch(self.ask("one.gwa.demo"))), FIRST)
        kind, text = self.scrape(f"{OPENMETRICS};version=1.0.0,text/plain;q=0.5")
        self.assertTrue(kind.startswith(OPENMETRICS))
        names = {each.name for each in parsed_open(text) if not each.name.startswith("process_")}
        self.assertEqual(names - {each.shown.removesuffix("_total").removesuffix("_info") for each in GATEWAY}, set())
        self.assertGreater(len(names), 60)
        for word in ("gwa.demo", "192.168.", "100.64.", "test_gwa"):
            self.assertNotIn(word, text)
        every = [each.exemplar for family in parsed_open(text) for each in family.samples if each.exemplar]
        latest = max(every, key=lambda each: float(each.timestamp))
        stream = follow(self.gateway.control, "log", {"limit": "1000"})
        told = {each["id"]: each["at"] for each in stream if each["what"] == "admitted"}
        self.assertLess(abs(float(latest.timestamp) - told[latest.labels["trace_id"]]), 5.0)

    def test_only_who_may_ask_is_told(self) -> None:
        """By his address; or by the socket, whose permissions say who may."""
        for host, is_told in ((SECOND, True), (FIRST, False)):
            connection = http.client.HTTPConnection(GATEWAY_LAN, PORT, PATIENCE, (host, 0))
            if is_told:
                self.assertIn("realmgw_hosts 2.0", self.testbed.call("test_gwa", get, connection)[1])
            else:
                refusals = ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError
                self.assertRaises(refusals, self.testbed.call, "test_gwa", get, connection)
        path = type(self).settings["metrics"]["listen"][2]
        self.assertIn("realmgw_hosts 2.0", get(UnixConnection(path))[1])
        self.assertGreaterEqual(self.values()["realmgw_metrics_connections_total{event=forbidden}"], 1.0)
