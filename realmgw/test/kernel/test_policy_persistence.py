"""What the gateway holds of those who ask outlives it, whatever ends it; a reload of the policy forgets nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from ruamel.yaml import YAML

    from testbed.realm import client
    from testbed.realm.gateway import ORDERLY
    from testbed.realm.topology import environment

STRANGER = "198.51.100.66"
"""Nobody asks from there."""
PERIOD = 20.0  # seconds
"""How often reputations are written."""


class PersistenceTests(RealmTestCase):
    """A gateway with one resolver, which is good."""

    def tearDown(self) -> None:
        """The next test has a gateway that runs."""
        if self.gateway.process is None:
            self.gateway.start()

    def visit(self, times: int = 1) -> None:
        """Clients ask, and come."""
        for _ in range(times):
            self.assertEqual(self.public(client.fetch(self.ask("one.gwa.demo"))), FIRST)

    def held(self) -> dict[str, Any]:
        """What is held of whom, by address."""
        return {row["name"]: row for row in ask(self.gateway.control, "reputation/list")["reputations"]}

    def resolver(self) -> dict[str, Any]:
        """Of the one that asks for the clients."""
        [row] = [row for row in self.held().values() if row["ok"]]
        return dict(row)

    def counts(self) -> dict[str, Any]:
        """What became of reputations."""
        return dict(ask(self.gateway.control, "status")["counts"]["reputation"])

    def test_a_restart_forgets_nothing(self) -> None:
        """What was counted, and what an operator has set; only the time that passes changes a reputation."""
        self.visit(3)
        ask(self.gateway.control, "reputation/set", {"who": STRANGER, "reputation": "0.02"})
        before = self.resolver()
        self.assertEqual(self.gateway.stop(), ORDERLY)
        self.gateway.start()
        after = self.resolver()
        self.assertEqual((after["name"], after["ok"]), (before["name"], before["ok"]))
        self.assertGreater(after["reputation"], 0.46)
        self.assertLess(self.held()[STRANGER]["reputation"], 0.44)
        self.assertEqual(self.counts()["restored"], len(self.held()))

    def test_kill_9_forgets_no_more_than_a_period(self) -> None:
        """What is older than that is there, the first flow of all as well."""
        ask(self.gateway.control, "reputation/set", {"who": STRANGER, "reputation": "0.01"})
        self.visit()
        before, written = self.resolver(), self.counts()["written"]
        deadline = time.monotonic() + PERIOD + 5.0
        while self.counts()["written"] == written and time.monotonic() < deadline:
            time.sleep(0.2)
        self.gateway.kill()
        self.gateway.start()
        self.assertGreaterEqual(self.resolver()["ok"], before["ok"])
        self.assertLess(self.held()[STRANGER]["reputation"], 0.44)
        self.assertFalse(self.counts()["failing"])

    def test_whoever_is_forgotten_stays_so(self) -> None:
        """After a restart as well."""
        ask(self.gateway.control, "reputation/set", {"who": STRANGER, "reputation": "0.9"})
        self.gateway.stop()
        self.gateway.start()
        self.assertIn(STRANGER, self.held())
        ask(self.gateway.control, "reputation/forget", {"who": STRANGER})
        self.gateway.stop()
        self.gateway.start()
        self.assertNotIn(STRANGER, self.held())

    def test_the_command_line_asks_the_running_gateway(self) -> None:
        """Its options arrive as they were meant, and its exit status says what became of it."""
        self.visit()
        who = self.resolver()["name"]
        for status, *words in (
            (0, "reputation", "list", "--clients"),
            (0, "reputation", "show", who),
            (0, "reputation", "set", who, "0.6"),
            (2, "reputation", "set", who, "6"),
            (4, "reputation", "forget", "198.51.100.99"),
            (0, "explain", "name", "one.gwa.demo", "--resolver", who),
            (0, "explain", "name", "one.gwa.demo", "--resolver", who, "--tcp", "--cookie", "--client", "192.0.2.7"),
        ):
            argv = [sys.executable, "-m", "realmgw.control.command.cli", *words, "--socket", str(self.gateway.control)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=environment(), check=False)
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn("its client 192.0.2.7/32 is not believed", done.stdout)

    def test_a_damaged_file_holds_up_nobody(self) -> None:
        """It is set aside, which the log says, and names are served."""
        self.visit()
        self.gateway.stop()
        [path] = self.testbed.folder.glob("reputation-*.sqlite")
        path.write_bytes(b"no database" * 1000)
        self.gateway.start()
        self.visit()
        self.assertEqual(self.counts()["damaged"], 1)
        self.assertIn("the file was damaged", self.gateway.log.read_text())
        self.assertTrue(list(self.testbed.folder.glob("reputation-*.damaged-*")))

    def test_another_policy_is_in_force_at_once_and_forgets_nothing(self) -> None:
        """Bands that refuse everybody, and none again: a reload each, and the resolver's reputation lives on."""
        self.visit(2)
        before, text = self.resolver(), self.gateway.config.read_text()
        said = YAML(typ="safe").load(text)
        nobody = {"threshold_min": 0, "threshold_max": 100, "fqdn_new": 1, "sfqdn_new": 1, "sfqdn_reuse": 1}
        said["policy"] = {"system_load": [], "groups": [{"nodes": [f"{STRANGER}/32"], "initial_reputation": 1.0}]}
        with self.gateway.config.open("w") as file:
            YAML(typ="safe").dump(said, file)
        try:
            self.assertEqual(ask(self.gateway.control, "reload")["status"], "applied")
            self.assertEqual(self.held()[f"{STRANGER}/32"]["kind"], "preset")
            self.visit()
            said["policy"] = {"system_load": [nobody], "max_claims": 1}
            with self.gateway.config.open("w") as file:
                YAML(typ="safe").dump(said, file)
            self.assertEqual(ask(self.gateway.control, "reload")["plan"]["restart"], [])
            self.assertEqual(self.resolver()["name"], before["name"])
        finally:
            self.gateway.config.write_text(text)
            self.assertEqual(ask(self.gateway.control, "reload")["status"], "applied")
        self.visit()
        self.assertEqual(self.resolver()["ok"], before["ok"] + 2)
