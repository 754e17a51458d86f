"""Tests for `realmgw.control.command.proxies`: the web proxy as lines."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.proxies import web_proxy

SHOWN: dict[str, Any] = {
    "state": "in step", "since": 124.0, "error": "", "pid": 4711, "listens": ["192.0.2.130"], "http_port": 80,
    "https_port": 443, "withheld": [], "uncertified": [], "ill": [], "certificates": [], "wrong": [],
    "counts": {"names": 2, "withheld": 0},
}  # fmt: skip


class WebProxyTests(SynchronousTestCase):
    """What `realmgw webproxy show` prints."""

    def lines(self, **changes: Any) -> list[str]:
        """Of an answer."""
        return list(web_proxy({**SHOWN, **changes}))

    def test_says_how_it_is_and_what_it_has_counted(self) -> None:
        """Where it listens, too."""
        self.assertEqual(self.lines(), [
            "in step for 2 min 4 s, process 4711",
            "  at 192.0.2.130: HTTP port 80, TLS port 443",
            "  names: 2",
            "  withheld: 0",
        ])  # fmt: skip

    def test_says_what_is_wrong(self) -> None:
        """And which names are not served; of many, some."""
        lines = self.lines(state="waiting", pid=None, error="HAProxy has ended", listens=[], withheld=["a.example.org"],
                           counts={"withheld": 8})  # fmt: skip
        self.assertEqual(lines[:4], [
            "waiting for 2 min 4 s",
            "  at no address: HTTP port 80, TLS port 443",
            "  HAProxy has ended",
            "  not served, as rules of their hosts ask who sends: a.example.org and 7 more",
        ])  # fmt: skip

    def test_says_which_hosts_are_down(self) -> None:
        """Since when, by which way, and why; of many, some."""
        ill = {"name": "a.example.org", "by": "http", "since": 42.0, "reason": "Layer4 timeout"}
        lines = self.lines(ill=[ill, {**ill, "by": "tls", "reason": ""}], counts={"ill": 8})
        self.assertEqual(lines[2:5], [
            "  down for 42 s: a.example.org, by HTTP: Layer4 timeout",
            "  down for 42 s: a.example.org, by TLS",
            "  and 7 more names are down",
        ])  # fmt: skip

    def test_says_that_there_is_none(self) -> None:
        """With the key."""
        self.assertEqual(self.lines(state="off", since=None), ["There is no web proxy: webproxy.enabled is false."])
