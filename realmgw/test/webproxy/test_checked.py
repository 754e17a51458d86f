"""Tests for `realmgw.webproxy.checked`: servers of routes, what is said of them, and what HAProxy says."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.terms import Look
from realmgw.config.webproxy import Health
from realmgw.errors import MalformedError
from realmgw.subscribers.model import Host
from realmgw.test.webproxy.peer import DOWN, SERVERS, UP, service
from realmgw.webproxy.checked import Listing, State, brought, name_of, removed, servers
from realmgw.webproxy.health import Hosts
from realmgw.webproxy.names import route

NAME = "www.example.org"
USUAL = Health(interval=2.5, rise=4, fall=5)
SAID = (f"{SERVERS}http-hosts,host,no check,9,,,,,\nhttp-hosts-connect,{NAME}:0a,{UP},\n"
        f"tls-hosts-request,{NAME}:0a,{DOWN},\nhttp-hosts-request,b.example.org:0a,UP,9,,,,,\n\n").encode()  # fmt: skip


class ServersTests(SynchronousTestCase):
    """What a route comes to."""

    def test_there_is_one_for_each_way_that_is_looked_at(self) -> None:
        """With all that is particular about it."""
        made = service(f"{NAME}.", http_port=8080, http_health=Look.REQUEST, https_health=Look.REQUEST)
        (http, words), (tls, secure) = servers(NAME, route(made), USUAL).items()
        self.assertEqual(words, "192.0.2.1:8080 weight 0 check inter 2500ms rise 4 fall 5")
        self.assertEqual(
            secure,
            f"192.0.2.1:443 weight 0 check check-ssl verify none check-sni {NAME} inter 2500ms rise 4 fall 5",
        )
        self.assertEqual((http.partition("/")[0], tls.partition("/")[0]), ("http-hosts-request", "tls-hosts-request"))
        self.assertEqual({name_of(http), name_of(tls)}, {NAME})

    def test_the_proxy_protocol_is_spoken_by_looks_too(self) -> None:
        """The host expects it; an address of IPv6 is said to be one."""
        host = Host(1, "six.", b"", address6=bytes.fromhex("20010db8000000000000000000000005"))
        made = service(f"{NAME}.", host, proxy_protocol=True, https_health=Look.CONNECT)
        [words] = servers(NAME, route(made), USUAL).values()
        self.assertEqual(
            words,
            "ipv6@2001:db8::5:443 weight 0 send-proxy-v2 check-send-proxy check inter 2500ms rise 4 fall 5",
        )

    def test_who_is_not_looked_at_has_none(self) -> None:
        """Nor has TLS that ends at the proxy, nor a name that is gone."""
        ends = service(f"{NAME}.", tls_termination=True, https_health=Look.CONNECT)
        for each in (service(f"{NAME}."), ends):
            self.assertEqual(servers(NAME, route(each), USUAL), {})
        self.assertEqual(servers(NAME, None, USUAL), {})


class AnswerTests(SynchronousTestCase):
    """What HAProxy says."""

    def test_what_is_not_brought_is_told(self) -> None:
        """Each that is has its line."""
        brought(b"New server registered.\n\n\nNew server registered.\n\n\n")
        error = self.assertRaises(MalformedError, brought, b"New server registered.\n\n\nunknown keyword 'x'\n\n")
        self.assertIn("unknown keyword", str(error))

    def test_those_that_have_gone_are_known_by_their_places(self) -> None:
        """As are those that have not, and those that were not there."""
        said = b"\nServer deleted.\n\n\nServer still has connections attached to it, cannot remove it.\n\n\n"
        self.assertEqual(list(removed(["a", "b"], said)), ["a"])
        self.assertRaises(MalformedError, removed, ["a", "b", "c"], said)

    @given(st.lists(st.integers(0, len(SAID))))
    def test_states_may_come_in_any_pieces(self, cuts: list[int]) -> None:
        """Of servers for hosts that are looked at, and of no others."""
        listing, places = Listing(), [0, *sorted(cuts), len(SAID)]
        for begin, end in pairwise(places):
            listing.receive(SAID[begin:end])
        self.assertEqual(listing.states, {
            f"http-hosts-connect/{NAME}:0a": State("http", False, 7.0, "Layer4 check passed"),
            f"tls-hosts-request/{NAME}:0a": State("tls", True, 12.0, "Layer7 wrong status, 503, Try, later"),
            "http-hosts-request/b.example.org:0a": State("http", False, 9.0, ""),
        })  # fmt: skip

    @given(st.binary())
    def test_no_states_raise_anything_else(self, said: bytes) -> None:
        """Whatever they are; what a host has said does nothing to a terminal."""
        for each in (said, SERVERS.encode() + b"tls-hosts-request,a:0,DOWN,1,L7STS,503," + said + b"\n"):
            listing = Listing()
            with contextlib.suppress(MalformedError):
                listing.receive(each)
            self.assertTrue(all(state.reason.isprintable() for state in listing.states.values()))

    def test_a_line_without_an_end_is_not_read_for_ever(self) -> None:
        """Nor is anything but a table taken for one."""
        self.assertRaises(MalformedError, Listing().receive, b"x" * 10_000)
        self.assertRaises(MalformedError, Listing().receive, b"Permission denied\n")


class HostsTests(SynchronousTestCase):
    """From one reading to the next."""

    def test_who_becomes_ill_and_who_well_is_told_once(self) -> None:
        """By whichever way; who is not looked at any more is not ill either."""
        hosts, ill, well = Hosts(), State("http", True, 1.0, "refused"), State("tls", False, 1.0, "")
        self.assertEqual(hosts.heard({"x/a:0": ill, "y/a:0": well, "x/b:0": well}), (["a"], []))
        self.assertEqual((hosts.well, len(hosts.ill)), (1, 1))
        self.assertEqual(hosts.shown(9), [{"name": "a", "by": "http", "since": 1.0, "reason": "refused"}])
        self.assertEqual(hosts.heard({"x/a:0": ill, "x/b:0": ill}), (["b"], []))
        self.assertEqual([each["name"] for each in hosts.shown(1)], ["a"])
        self.assertEqual(hosts.heard({"x/a:0": well}), ([], ["a", "b"]))
