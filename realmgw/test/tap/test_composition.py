"""The composition root: what `twistd realmgw` is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config, tap
from realmgw.tap.composition import compose
from realmgw.tap.plugin import read

CONF = Path(__file__).parents[3] / "conf" / "realmgw.yaml"


class MakeServiceTests(SynchronousTestCase):
    """From a command line to services."""

    def options(self, *arguments: str) -> tap.Options:
        """The parsed command line."""
        options = tap.Options()
        options.parseOptions(arguments)
        return options

    def test_twistd_knows_it(self) -> None:
        """The plugin is found, and leads to this module."""
        makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        self.assertEqual(makers["realmgw"].module, tap.__name__)  # type: ignore[attr-defined]  # ServiceMaker has it

    def test_services_have_their_order(self) -> None:
        """Nothing is touched while another gateway may run, and nobody is told an address that leads nowhere."""
        if not CONF.exists():
            self.skipTest("no checkout: conf/ is not installed")
        gateway = compose(read(CONF, config.load(CONF)), self.options())
        names = [part.name for part in gateway]
        told = (CONF.parents[1] / "docs" / "architecture.md").read_text()
        self.assertEqual(names, [name.lower() for name in re.findall(r"^\d+\. \*\*([\w ]+)\*\*", told, re.MULTILINE)])
        self.assertEqual(names[:5], ["process", "log", "instance", "control", "datapath"])
        self.assertLess(names.index("datapath"), names.index("dns"))

    def test_gateway_has_nothing_of_the_command(self) -> None:
        """What makes command lines and screens is not in its process."""
        code = "import sys, realmgw.tap; print(*sorted({'click', 'rich'} & set(sys.modules)))"
        environment = {**os.environ, "PYTHONPATH": str(CONF.parents[1])}
        said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        self.assertEqual(said.stdout, "\n")

    def test_says_every_problem_of_a_bad_configuration(self) -> None:
        """The message names the file and the place of each problem, and nothing is started."""
        bad = Path(self.mktemp())
        bad.write_text("nam: gwa.demo\n")
        with self.assertRaises(SystemExit) as caught:
            tap.make_service(self.options("--config", str(bad)))
        self.assertIn(f"{bad}:1:1: ", str(caught.exception))

    def test_says_when_there_is_no_configuration(self) -> None:
        """A missing file is a problem of the operator's, not a traceback."""
        with self.assertRaises(SystemExit) as caught:
            tap.make_service(self.options("--config", "/nonexistent/realmgw.yaml"))
        self.assertIn("/nonexistent/realmgw.yaml", str(caught.exception))
