"""Tests for `realmgw.portal.answers`: what is answered to whom."""

from __future__ import annotations

import json
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import PurePath
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Interfaces, Pools, Portal, PortalTls, Settings
from realmgw.portal.answers import API, Answer, Answers, Asked, Kind
from realmgw.portal.page import POLICY
from realmgw.system.endpoints import Endpoint

HERE, HERE6 = Endpoint(ip_address("192.168.0.1"), 80), Endpoint(ip_address("fd00::1"), 8080)
SECURE = Endpoint(ip_address("192.168.0.1"), 443)
PORTAL = Portal((HERE, HERE6), text=(("en", "Come in."),), link="https://example.org/in")
TLS = PortalTls((SECURE,), "portal.example.org.", PurePath("a"), PurePath("b"))
PROBES = {
    "connectivitycheck.gstatic.com": "/generate_204",
    "captive.apple.com": "/hotspot-detect.html",
    "www.msftconnecttest.com": "/connecttest.txt",
    "detectportal.firefox.com": "/canonical.html",
    "nmcheck.gnome.org": "/check_network_status.txt",
}
"""What devices ask for to find out."""


def answers(portal: Portal = PORTAL) -> Answers:
    """What answers."""
    return Answers(Settings("gw.example.org.", (), Interfaces("wan0", ("lan0",)), Pools(()), portal=portal))


def asked(host: str = "192.168.0.1", path: str = "/", **how: Any) -> Asked:
    """A guest's request, unless it is said otherwise."""
    usual = Asked("GET", host, path, languages="", address="192.168.0.9", at=HERE, known=False)
    return attrs.evolve(usual, **how)


class AnswersTests(SynchronousTestCase):
    """`Answers`, with a page by HTTP."""

    def answer(self, *words: str, **how: Any) -> Answer:
        """What is answered, with the headers that everything has."""
        found = answers().answer(asked(*words, **how))
        headers = dict(found.headers)
        self.assertEqual(len(headers), len(found.headers))
        self.assertEqual(
            [headers[name] for name in ("Cache-Control", "Connection", "X-Content-Type-Options", "Referrer-Policy")],
            ["private, no-store", "close", "nosniff", "no-referrer"],
        )
        self.assertEqual((headers["Content-Security-Policy"], headers["X-Frame-Options"]), (POLICY, "DENY"))
        return found

    def test_probes_are_sent_to_the_page(self) -> None:
        """So every device notices; the answer can be kept by nobody."""
        for host, path in PROBES.items():
            for at, where in ((HERE, "http://192.168.0.1/"), (HERE6, "http://[fd00::1]:8080/")):
                for method in ("GET", "HEAD"):
                    found = self.answer(host, path, at=at, method=method)
                    self.assertEqual((found.status, found.kind), (HTTPStatus.FOUND, Kind.REDIRECT))
                    self.assertEqual(dict(found.headers)["Location"], where)
                    self.assertIn(b"Not registered yet", found.body)

    def test_what_does_not_only_read_is_told_511(self) -> None:
        """RFC 6585 section 6: a program must not take it for the server's answer, nor send its content elsewhere."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "nonsense", ""):
            found = self.answer("api.example.net", "/v1", method=method)
            self.assertEqual((found.status.value, found.kind), (511, Kind.TOLD))
            self.assertNotIn("Location", dict(found.headers))
            found = self.answer(method=method)
            self.assertEqual((found.status, dict(found.headers)["Allow"]), (405, "GET, HEAD"))

    def test_the_page_is_at_its_own_address(self) -> None:
        """However that is written, and at each of them; what else is asked for there leads to it."""
        for host in ("192.168.0.1", "192.168.0.1:80", "[fd00::1]:8080", "[FD00::1]", " 192.168.0.1 "):
            found = self.answer(host)
            self.assertEqual((found.status, found.kind), (HTTPStatus.OK, Kind.PAGE), host)
            self.assertEqual(self.answer(host, "/generate_204").status, HTTPStatus.FOUND)
        for host in ("", "192.168.0.2", "192.168.0.1.example.org", "[fd00::1", "x@192.168.0.1", ":80"):
            self.assertEqual(self.answer(host).status, HTTPStatus.FOUND, host)

    def test_subscribers_are_told_so(self) -> None:
        """Where they have come for something else, too, which they are told where to find."""
        found = self.answer(known=True)
        self.assertEqual((found.status, found.kind), (HTTPStatus.OK, Kind.CONNECTED))
        self.assertIn(b"You are connected", found.body)
        self.assertEqual(self.answer("www.example.net", "/x", known=True).status, HTTPStatus.FOUND)

    def test_it_speaks_what_the_asker_reads(self) -> None:
        """And says so, for what keeps answers."""
        found = self.answer(languages="fi-FI,fi;q=0.9")
        headers = dict(found.headers)
        self.assertEqual((headers["Content-Language"], headers["Vary"]), ("fi", "Accept-Language"))
        self.assertIn("Ei vielä rekisteröity".encode(), found.body)

    def test_the_api_says_whether_somebody_is_captive(self) -> None:
        """RFC 8908 section 5."""
        for known in (False, True):
            found = self.answer("192.168.0.1", API, known=known)
            self.assertEqual(dict(found.headers)["Content-Type"], "application/captive+json")
            told = {"captive": not known, "user-portal-url": "http://192.168.0.1/"}
            self.assertEqual(json.loads(found.body), {**told, "venue-info-url": "https://example.org/in"})
        self.assertEqual(self.answer("captive.apple.com", API).status, HTTPStatus.FOUND)

    @given(
        st.builds(
            asked,
            st.sampled_from(["192.168.0.1", "www.example.net"]) | st.text(max_size=30),
            st.text(max_size=30),
            method=st.sampled_from(["GET", "HEAD"]) | st.text(max_size=9),
        )
    )
    def test_whatever_is_asked_is_answered(self, request: Asked) -> None:
        """Nothing of it gets into the head of the answer."""
        marked = attrs.evolve(request, path=f"/~{request.path}")  # a path alone may be a word of ours, `none`
        for each in (request, marked):
            for name, value in answers().answer(each).headers:
                self.assertRegex(f"{name}: {value}", r"\A[ -~]+\Z")
                self.assertNotIn("/~", value)


class TlsTests(SynchronousTestCase):
    """With a page by HTTPS as well."""

    def setUp(self) -> None:
        self.answers = answers(attrs.evolve(PORTAL, tls=TLS))

    def test_the_api_names_the_page_by_https(self) -> None:
        """Which it must (RFC 8908 section 5), whichever way somebody came."""
        for at in (HERE, SECURE):
            said = json.loads(self.answers.answer(asked("portal.example.org", API, at=at)).body)
            self.assertEqual(said["user-portal-url"], "https://portal.example.org/")

    def test_a_redirection_needs_no_dns(self) -> None:
        """But for who came by the name already."""
        for at, where in ((HERE, "http://192.168.0.1/"), (SECURE, "https://portal.example.org/")):
            headers = dict(self.answers.answer(asked("www.example.net", at=at)).headers)
            self.assertEqual(headers["Location"], where)

    def test_the_page_is_at_its_name(self) -> None:
        """With a final dot, and in any case."""
        for host in ("portal.example.org", "Portal.Example.org.:443"):
            self.assertEqual(self.answers.answer(asked(host, at=SECURE)).status, HTTPStatus.OK)

    def test_another_port_is_named(self) -> None:
        """As the operator has it."""
        elsewhere = attrs.evolve(TLS, listen=(Endpoint(SECURE.address, 8443),))
        said = json.loads(answers(attrs.evolve(PORTAL, tls=elsewhere)).answer(asked(path=API)).body)
        self.assertEqual(said["user-portal-url"], "https://portal.example.org:8443/")
