"""The web proxy of a gateway that is started as the package's unit and its drop-in say: not as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from realmgw import config
from realmgw.config.steps import now
from realmgw.control.command.client import ask
from realmgw.control.examination import examine
from realmgw.system import privileges
from realmgw.test import programs
from realmgw.test.checkout import NO_CHECKOUT
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.test_webproxy import host_of, is_running, subscriber
from realmgw.test.kernel.web_case import WebTestCase
from realmgw.test.test_packaging import DEBIAN, unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import Gateway, Subscriber
    from testbed.realm.topology import Testbed

NOBODY = 65534
"""Whom the gateway runs as."""
NAME, OTHER = "www.one.gwa.demo", "www.two.gwa.demo"


def given() -> list[str]:
    """The capabilities of the unit with its drop-in, as setpriv says them; without those that we do not have."""
    files = DEBIAN / "realmgw.realmgw.service", DEBIAN / "webproxy.conf"
    said = " ".join(line for file in files for line in unit(file)["AmbientCapabilities"])
    names = [each.removeprefix("CAP_").lower() for each in said.split()]
    known = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if privileges.held() >> known.index(name) & 1]


def as_unit() -> list[str]:
    """What starts a program as systemd would."""
    sets = ",".join(("-all", *(f"+{name}" for name in given())))
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={sets}",
            f"--ambient-caps={sets}", f"--bounding-set={sets}", "--no-new-privs"]  # fmt: skip


def status(pid: int) -> Mapping[str, str]:
    """What the kernel says of a process."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: value.strip() for key, _, value in lines}


class UnitTests(WebTestCase):
    """The folder of its state is its user's."""

    skip = NO_CHECKOUT or requirements.missing_for_gateway() or programs.missing("haproxy", "setpriv")
    settings: ClassVar[Mapping[str, Any]] = {"webproxy": {"enabled": True}}
    before: ClassVar[Sequence[str]] = [] if skip else as_unit()

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        return [subscriber("one.gwa.demo.", FIRST)]

    def make(self, testbed: Testbed) -> Gateway:
        """A gateway whose folder is nobody's."""
        gateway = super().make(testbed)
        os.chown(testbed.folder, NOBODY, NOBODY)
        return gateway

    def setUp(self) -> None:
        """The proxy runs."""
        super().setUp()
        self.until(lambda: self.shown()["state"] == "in step")

    def test_it_serves_and_has_no_capability(self) -> None:
        """The gateway has those of its unit, and is not root; HAProxy is its own user, with none, for good."""
        self.assertEqual(host_of(self.get(NAME)[2]), FIRST)
        gateway, proxy = status(self.gateway.pid), status(self.shown()["pid"])
        self.assertEqual((set(gateway["Uid"].split()), gateway["NoNewPrivs"]), ({str(NOBODY)}, "1"))
        self.assertEqual(int(gateway["CapEff"], 16).bit_count(), len(given()))
        self.assertEqual(set(proxy["Uid"].split()), {str(pwd.getpwnam("haproxy").pw_uid)})
        self.assertEqual({int(proxy[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {0})
        self.assertEqual((proxy["NoNewPrivs"], proxy["Groups"]), ("1", ""))

    def test_it_is_told_of_who_comes(self) -> None:
        """By a reload."""
        path = self.testbed.folder / "subscribers.d" / "testbed.yaml"
        path.write_text(path.read_text() + subscriber("two.gwa.demo.", SECOND).text())
        ask(self.gateway.control, "reload")
        self.until(lambda: host_of(self.get(OTHER)[2]) == SECOND)

    def test_it_ends_with_the_gateway(self) -> None:
        """One that was left over is ended by the next."""
        left = self.shown()["pid"]
        self.gateway.kill()
        self.gateway.start()
        self.until(lambda: self.shown()["state"] == "in step")
        self.assertFalse(is_running(left))
        pid = self.shown()["pid"]
        self.gateway.stop()
        self.assertFalse(is_running(pid))
        self.gateway.start()

    def test_root_is_told_what_the_user_of_the_state_needs(self) -> None:
        """By `realmgw check`, which can not see it."""
        told = "\n".join(examine(config.load(self.gateway.config), now).unseen)
        self.assertIn(f"{self.testbed.folder} is user {NOBODY}'s: if the gateway runs as that, its unit needs", told)
