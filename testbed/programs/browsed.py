"""What a real browser shows of the portal: Chromium as a guest of a gateway in the testbed, and then as a subscriber.

    python -m testbed.programs.browsed FOLDER

Each page is loaded twice: its text is compared with what has to be there, and its picture is put into the folder, to be
looked at. The browser has no window, and fetches nothing from anywhere but the testbed.
"""

from __future__ import annotations

import argparse
import http.server
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from realmgw.control.command.client import ask
from testbed.realm import ipv6
from testbed.realm.gateway import ROUTED_POOL, ROUTED_POOL6, Gateway, Subscriber
from testbed.realm.topology import GATEWAY_LAN, Testbed

NAME = "www.example.net"
"""Whose page the browser wants: a server of others."""
TEXT = {
    "en": "Welcome to the house of the example.\nTo register, come to the desk on the first floor. <b>&</b>",
    "de": "Zur Anmeldung bitte zum Empfang im ersten Stock.",
}
LOOKS = {
    "guest": (["--accept-lang=en"], "Not registered yet"),
    "guest-dark": (["--accept-lang=en", "--blink-settings=preferredColorScheme=0"], "the first floor. &lt;b&gt;&amp;"),
    "guest-german": (["--accept-lang=de"], "bitte zum Empfang"),
    "guest-finnish": (["--accept-lang=fi"], "Ei vielä rekisteröity"),
    "guest-wide": (["--accept-lang=fr", "--window-size=1200,800"], "enregistré"),
}
"""What a guest looks at: how the browser is started, and what has to be on the page."""
PATIENCE = 60.0  # seconds
"""How long a browser may take for a page."""


class Outside(http.server.BaseHTTPRequestHandler):
    """A server of others."""

    def do_GET(self) -> None:
        """Has one page."""
        body = b"<!DOCTYPE html><title>Outside</title><h1>The page of somebody else</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Browser:
    """Chromium at the first private host.

    Args:
        testbed: Where.
        folder: Gets the pictures.
    """

    def __init__(self, testbed: Testbed, folder: Path) -> None:
        self._testbed = testbed
        self._folder = folder
        self.failed = 0

    def look(self, title: str, url: str, options: Sequence[str], expected: str) -> None:
        """Look at a page.

        Args:
            title: Of the picture.
            url: Whose.
            options: Further ones of the browser.
            expected: What has to be on it.
        """
        picture = self._folder / f"{title}.png"
        picture.unlink(missing_ok=True)
        shown = self._run(url, [*options, "--dump-dom"])
        self._run(url, [*options, f"--screenshot={picture}"])
        good = expected in shown and picture.exists()
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {title}: {expected!r} at {url}: {picture}", flush=True)

    def _run(self, url: str, options: Sequence[str]) -> str:
        """What the browser says."""
        with tempfile.TemporaryDirectory() as profile:
            argv = [
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
                "--no-first-run", "--hide-scrollbars", "--window-size=500,844", f"--user-data-dir={profile}",
                f"--host-resolver-rules=MAP {NAME} {self._testbed.clients[0]}", *options, url,
            ]  # fmt: skip
            done = self._testbed.run("test_gwa", argv, timeout=PATIENCE)
        return done.stdout


def main() -> int:
    """The command line; returns how many pages were not what they should be."""
    parser = argparse.ArgumentParser(prog="./testbed/portal", description="Show the portal to a browser.")
    parser.add_argument("folder", type=Path, help="for the pictures")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with Testbed("browsed-", hosts=2, clients=1) as testbed:
        with testbed.inside("public"):
            outside = http.server.ThreadingHTTPServer((testbed.clients[0], 80), Outside)
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        portal = {
            "listen": [GATEWAY_LAN, *([ipv6.GATEWAY_LAN] if ipv6.AVAILABLE else [])],
            "text": TEXT,
            "link": "https://register.example.org/new",
        }
        settings = {"datapath": {"unknown_hosts": "guest"}, "portal": portal}
        pool = [ROUTED_POOL, *([ROUTED_POOL6] if ipv6.AVAILABLE else [])]
        with Gateway(testbed, (), circular=pool, settings=settings) as gateway:
            return _looked(testbed, gateway, Browser(testbed, folder))


def _looked(testbed: Testbed, gateway: Gateway, browser: Browser) -> int:
    for title, (options, expected) in LOOKS.items():
        browser.look(title, f"http://{NAME}/page", options, expected)
    browser.look("portal-ipv6", f"http://[{ipv6.GATEWAY_LAN}]/", ["--accept-lang=es"], "no registrado")
    registered = Subscriber("one.gwa.demo.", testbed.hosts[0], address6=testbed.hosts6[0] if testbed.hosts6 else "")
    (testbed.folder / "subscribers.d" / "guest.yaml").write_text(registered.text())
    print(ask(gateway.control, "reload")["summary"], flush=True)
    browser.look("subscriber-outside", f"http://{NAME}/page", ["--accept-lang=en"], "The page of somebody else")
    browser.look("subscriber-portal", f"http://{GATEWAY_LAN}/", ["--accept-lang=en"], "You are connected")
    return browser.failed


if __name__ == "__main__":
    sys.exit(main())
