"""What a real browser shows of the dashboard, and does by it: Chromium, by light and in the dark, wide and narrow.

    python -m testbed.programs.watched FOLDER

Clients come to hosts behind a gateway of the testbed, strangers are refused; an operator looks. Of each look there is a
picture in the folder, to be looked at. What can be told without eyes is checked: who gets in, what is shown, that it
moves, names for who can not see, contrast, keys, what is asked before anything is changed, and that the browser itself
has no complaint.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.player import visits
from testbed.programs.webdriver import Browser
from testbed.realm import host
from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Gateway, Subscriber
from testbed.realm.topology import GATEWAY, Testbed, TestbedError

NAMES = 8
NOBODYS = "100.64.2.15"
"""The last address of the pool, to which no client is sent."""
RATE = 10.0
"""So many clients come in a second."""
TOKEN = "testbed-0123456789abcdef"
ADDRESS = "http://127.0.0.1:12347/"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {}, "dark": {"dark": True}, "phone": {"width": 390, "height": 844},
    "phone-dark": {"width": 390, "height": 844, "dark": True},
}  # fmt: skip
"""How it is looked at."""
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
LEAST_CONTRAST = 4.5
"""Of text with what is behind it (WCAG 2.2, 1.4.3)."""
CONTRAST = """
const part = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(part);
  return .2126 * r + .7152 * g + .0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$|^transparent$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
const found = {};
for (const e of document.querySelectorAll("body *")) {
  if (!e.checkVisibility() || e.namespaceURI.endsWith("svg")) continue;
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
  const a = light(getComputedStyle(e).color), b = light(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const what = e.tagName + (e.id ? "#" + e.id : "") + (e.className ? "." + e.className : "");
  found[what] = Math.min(found[what] ?? 99, ratio);
}
return found;
"""
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())"
WHAT = "return arguments[0].outerHTML.slice(0, 80)"
RATES = "return [...document.querySelectorAll('.rate b')].map(e => +e.textContent)"
BARS = "return document.querySelectorAll('#timeline rect').length"
COLOURS = """
const p = pool.getContext('2d').getImageData(0, 0, pool.width, pool.height).data;
return new Set(Array.from({length: p.length / 4}, (_, i) => p.slice(4 * i, 4 * i + 3).join())).size;
"""
OPEN = "return document.querySelector('#dialog').open"
FOCUSED = "return document.activeElement.id || document.activeElement.textContent.slice(0, 20)"
STAYING = "[...document.querySelectorAll('#flows tr')].find(e => e.children[6]?.textContent === 'now')"
UNNAMED = "button, input, select, table:has(tr), canvas, svg[role], section, meter, dialog[open], [role=region]"
"""What has to have a name."""


class Looking:
    """An operator with a browser.

    Args:
        testbed: Where.
        gateway: Looked at.
        browser: His.
        folder: Gets the pictures.
    """

    def __init__(self, testbed: Testbed, gateway: Gateway, browser: Browser, folder: Path) -> None:
        self._testbed, self._gateway, self._browser, self._folder = testbed, gateway, browser, folder
        self.failed = 0

    def claim(self, text: str, holds: object, seen: object = "") -> None:
        """Says whether something is as it should be."""
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {text}{f': {seen}' if seen else ''}", flush=True)

    def soon(self, text: str, holds: Callable[[], object]) -> None:
        """The same of what comes about in a moment."""
        try:
            self.claim(text, self._browser.wait(holds, text))
        except TestbedError as error:
            self.claim(text, False, error)

    def all(self) -> None:
        """Everything."""
        self.enter()
        self.watch()
        for title, look in LOOKS.items():
            self._browser.look(**look)
            time.sleep(1.5)
            self._browser.picture(self._folder / f"dashboard-{title}.png")
            self.read(title)
        self._browser.look()
        self.use_keys()
        self.change()
        self.claim("the browser has no complaint", not (said := self._browser.complaints()), said)

    def enter(self) -> None:
        """By the form, and by the address."""
        browser = self._browser
        browser.go(ADDRESS)
        self.soon("who has no session is asked for the token", lambda: browser.do("return !login.hidden"))
        browser.picture(self._folder / "login.png")
        browser.type(f"wrong-{TOKEN}{ENTER}")
        self.soon("another one is refused", lambda: "not the token" in browser.text("#denied"))
        browser.complaints()  # of the answer 401
        browser.type(f"{TOKEN}{ENTER}")
        self.soon("the token opens it", lambda: browser.do("return !board.hidden"))
        self.claim("no script sees the cookie", browser.do("return document.cookie") == "")
        browser.click("#leave")
        self.soon("who signs out is out", lambda: browser.do("return !login.hidden"))
        browser.go("about:blank")
        browser.go(f"{ADDRESS}#{TOKEN}")
        self.soon("so does the token behind the #", lambda: browser.do("return !board.hidden"))
        self.claim("which is in the address no more", browser.address() == ADDRESS, browser.address())

    def watch(self) -> None:
        """What is shown moves."""
        browser = self._browser
        self.soon("it is healthy", lambda: browser.text("#state") == "healthy")
        self.soon(
            "flows are let in",
            lambda: browser.do(RATES)[2] > 0,
        )
        self.soon(
            "flows are in the timeline",
            lambda: browser.do(BARS) > 5,
        )
        self.soon("with name and host", lambda: "h101.gwa.demo" in browser.text("#flows"))
        self.soon("refusals say what would have helped", lambda: "asking for the name" in browser.text("#refused"))
        self.soon(
            "decisions are told, refused packets among them", lambda: "no reservation" in browser.text("#decisions")
        )
        self.soon("resolvers are there", lambda: "100.64." in browser.text("#resolvers"))
        self.soon("the pool has addresses in different states", lambda: browser.do(COLOURS) > 2)

    def read(self, title: str) -> None:
        """What can be told of a look without eyes."""
        browser = self._browser
        contrast = browser.do(CONTRAST)
        bad = {what: round(ratio, 2) for what, ratio in contrast.items() if ratio < LEAST_CONTRAST}
        self.claim(f"{title}: all text has a contrast of {LEAST_CONTRAST}", contrast and not bad, bad)
        wide = browser.do("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self.claim(f"{title}: nothing is wider than the screen", wide <= 0, wide)

    def use_keys(self) -> None:
        """What has no name, and where the keys lead."""
        browser = self._browser
        browser.do("source.close()")  # what is shown stays as it is
        elements = browser.do(VISIBLE, UNNAMED)
        nameless = [browser.do(WHAT, each) for each in elements if not browser.label(each)]
        self.claim("everything has a name", elements and not nameless, nameless or f"{len(elements)} of them")
        browser.go("about:blank")
        browser.go(ADDRESS)
        self.soon("a session outlives the page", lambda: browser.do("return document.querySelector('#flows button')"))
        browser.click("#hold")
        browser.do("document.body.tabIndex = -1; document.body.focus()")
        seen = []
        for _ in range(12):
            browser.type(TAB)
            seen.append(browser.do(FOCUSED))
        self.claim("the tabulator leads through it", {"reload", "leave", "match", "span", "hold"} <= set(seen), seen)
        browser.do("document.querySelector('#flows button').focus()")
        browser.type(ENTER)
        self.soon("enter shows a flow", lambda: browser.do("return document.querySelector('#dialog[open] ol li')"))
        self.soon(
            "with what was decided, from the query on", lambda: "for the resolver" in browser.text("#dialog-body")
        )
        browser.picture(self._folder / "flow.png")
        browser.type(ESCAPE)
        self.soon("escape closes it", lambda: not browser.do(OPEN))
        browser.click("#hold")

    def change(self) -> None:
        """What changes something is asked before, done, and logged with who."""
        browser, log = self._browser, self._gateway.log
        browser.do("document.querySelector('#resolvers button[aria-label]').focus()")
        browser.type(ENTER)
        self.soon("it asks first", lambda: browser.do(OPEN))
        browser.do("value.value = 0.25")
        browser.picture(self._folder / "change.png")
        self.claim("nothing is done yet", "reputation/set" not in log.read_text())
        browser.click("#dialog-do")
        self.soon("then it is done", lambda: "done" in browser.text("#dialog-title"))
        [line] = [each for each in log.read_text().splitlines() if "reputation/set" in each]
        self.claim("and logged with who", "127.0.0.1 port" in line and "session 2" in line, line)
        browser.click("#dialog-close")
        browser.click("#reload")
        self.soon("a reload is planned first", lambda: "Nothing would change" in browser.text("#dialog-body"))
        browser.click("#dialog-do")
        self.soon("and done", lambda: browser.text("#dialog-title") == "Reload: done")
        browser.click("#dialog-close")
        self.end_flow()

    def end_flow(self) -> None:
        """A flow that stays is ended."""
        browser = self._browser
        with self._testbed.inside("public"):
            [address] = self._testbed.call("public", _resolved, "h101.gwa.demo")
            flow = socket.create_connection((address, 80), 5.0)
        flow.sendall(b"GET ")
        browser.do("match.value = 'h101'; match.dispatchEvent(new Event('input'))")
        self.soon("a flow that stays is shown", lambda: browser.do(f"return {STAYING}"))
        browser.do(f"{STAYING}.querySelector('button').click()")
        self.soon("it can be ended", lambda: browser.text("#dialog-do") == "End…")
        browser.click("#dialog-do")
        self.soon("after a question", lambda: "in both directions" in browser.text("#dialog-body"))
        browser.click("#dialog-do")
        self.soon("it is ended", lambda: browser.text("#dialog-title") == "End flows: done")
        flow.close()
        browser.click("#dialog-close")


def _resolved(name: str) -> list[str]:
    return subprocess.run(
        ["dig", "+short", f"@{GATEWAY}", name], capture_output=True, text=True, check=True
    ).stdout.split()


def come(testbed: Testbed, hosts: dict[str, str], stop: threading.Event) -> None:
    """Clients come, and strangers, until it is enough."""
    with testbed.inside("public"):
        while not stop.is_set():
            asyncio.run(visits.visit_many(hosts, int(RATE), RATE, lambda _: None))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((testbed.clients[1], 0))
                stranger.sendto(b"x", (NOBODYS, 4000))


def main() -> int:
    """The command line; returns how much was not what it should be."""
    parser = argparse.ArgumentParser(prog="./testbed/dashboard", description="Show the dashboard to a browser.")
    parser.add_argument("folder", type=Path, help="for the pictures")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with Testbed("watched-", hosts=NAMES, clients=2, resolvers=True) as testbed:
        host.start(testbed)
        names = {f"h{101 + number}.gwa.demo": address for number, address in enumerate(testbed.hosts)}
        token = testbed.folder / "dashboard.token"
        token.write_text(f"{TOKEN}\n")
        token.chmod(0o600)
        dashboard = {"listen": ["127.0.0.1"], "token_file": str(token)}
        subscribers = [Subscriber(f"{name}.", address) for name, address in names.items()]
        made = Gateway(testbed, subscribers, circular=[ON_LINK_POOL, ROUTED_POOL], settings={"dashboard": dashboard})
        stop = threading.Event()
        with made as gateway, Browser(testbed, "gwa") as browser:
            coming = threading.Thread(target=come, args=(testbed, names, stop), daemon=True)
            coming.start()
            looking = Looking(testbed, gateway, browser, folder)
            try:
                looking.all()
            except Exception:
                print(browser.complaints())
                raise
            finally:
                stop.set()
                coming.join()
            print(json.dumps({"failed": looking.failed}))
            return looking.failed


if __name__ == "__main__":
    sys.exit(main())
