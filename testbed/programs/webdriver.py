"""A real browser that is driven: Chromium without a window, by Debian's chromedriver (W3C WebDriver)."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.realm.topology import Testbed, TestbedError

PORT = 9515
PATIENCE = 30.0  # seconds
"""How long anything may take."""
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--no-first-run", "--hide-scrollbars", "--ignore-certificate-errors",
)  # fmt: skip


class Browser:
    """Chromium in a namespace, as a context manager.

    Args:
        testbed: Where.
        namespace: In which namespace.
    """

    def __init__(self, testbed: Testbed, namespace: str) -> None:
        self._testbed, self._namespace = testbed, namespace
        self._stack = ExitStack()
        self._session = ""

    def __enter__(self) -> Browser:
        """Starts it.

        Raises:
            TestbedError: It does not come.
        """
        profile = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        driver = self._testbed.spawn(self._namespace, ["chromedriver", f"--port={PORT}"], log="chromedriver.log")
        self._stack.callback(driver.wait)
        self._stack.callback(driver.terminate)
        self.wait(self._is_there, "chromedriver")
        options = {"args": [*_OPTIONS, f"--user-data-dir={profile}"], "binary": "/usr/bin/chromium"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        self._stack.callback(self._call, "DELETE", self._session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self._stack.close()

    def go(self, url: str) -> None:
        """Opens an address."""
        self._ask("POST", "/url", {"url": url})

    def address(self) -> str:
        """Where it is."""
        return str(self._ask("GET", "/url"))

    def do(self, script: str, *arguments: object) -> Any:
        """What a script returns, of a function's body."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def find(self, selector: str) -> str:
        """The first element that a selector of CSS finds.

        Raises:
            TestbedError: There is none.
        """
        return str(self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT])

    def text(self, selector: str) -> str:
        """What is to be read at the first element."""
        return str(self._ask("GET", f"/element/{self.find(selector)}/text"))

    def click(self, selector: str) -> None:
        """Clicks the first element."""
        self._ask("POST", f"/element/{self.find(selector)}/click", {})

    def label(self, element: Mapping[str, str]) -> str:
        """The accessible name of an element that a script has returned."""
        return str(self._ask("GET", f"/element/{element[_ELEMENT]}/computedlabel"))

    def type(self, keys: str) -> None:
        """Types where the focus is; `\ue004` is the tabulator, `\ue007` the enter key, `\ue00c` escape."""
        actions = [{"type": each, "value": key} for key in keys for each in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def look(self, *, dark: bool = False, width: int = 1200, height: int = 900) -> None:
        """From now on, a screen of this size, and by light or in the dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", size)

    def picture(self, path: Path) -> None:
        """Puts what the whole page looks like into a file."""
        shown = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shown["data"]))

    def complaints(self) -> list[str]:
        """What the browser has to say against the page since it was asked last: faults, and what its policy forbids."""
        return [str(each["message"]) for each in self._ask("POST", "/se/log", {"type": "browser"})]

    def wait(self, holds: Any, what: str) -> Any:
        """Waits until something holds, and returns it.

        Raises:
            TestbedError: It does not within `PATIENCE`.
        """
        until = time.monotonic() + PATIENCE
        while not (found := holds()):
            if time.monotonic() > until:
                raise TestbedError(f"{what}: not within {PATIENCE:.0f} s")
            time.sleep(0.1)
        return found

    def _is_there(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except OSError:
            return False

    def _devtools(self, command: str, parameters: Mapping[str, object]) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _ask(self, method: str, path: str, value: Mapping[str, object] | None = None) -> Any:
        return self._call(method, self._session + path, value)

    def _call(self, method: str, path: str, value: Mapping[str, object] | None = None) -> Any:
        """Speaks to chromedriver.

        Raises:
            OSError: It is not there.
            TestbedError: It refuses.
        """
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=2 * PATIENCE)
        with self._testbed.inside(self._namespace):
            connection.sock = socket.create_connection(("127.0.0.1", PORT), 2 * PATIENCE)
        try:
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise TestbedError(f"{method} {path}: {found['error']}: {found['message'].splitlines()[0]}")
        return found
