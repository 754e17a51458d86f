"""The repository against its own OpenAPI document: schemathesis makes requests of it, good ones and bad ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.internet.utils import getProcessOutputAndValue

from realmgw.repository.tokens import Tokens
from realmgw.test import programs
from realmgw.test.repository.site import READ_TOKEN, WRITE_TOKEN, SiteTestCase

SETTINGS = '[checks.negative_data_rejection]\nexpected-statuses = ["4xx", 503]\n'
"""A condition that is not met (412) is told before what is wrong with the body."""
COMMAND = "from schemathesis.cli import schemathesis; schemathesis()"


class FuzzedTests(SiteTestCase):
    """Whatever is asked, the answer is one of those that the document announces, and never a fault of ours."""

    skip = programs.missing_modules("schemathesis")
    tokens = Tokens(WRITE_TOKEN, READ_TOKEN)
    timeout = 300

    @inlineCallbacks
    def check(self, *options: str) -> Any:
        """Has schemathesis find nothing. That a value fits the document does not mean that it has to be taken."""
        settings = Path(self.mktemp())
        settings.write_text(SETTINGS)
        words = [
            "-c",
            COMMAND,
            "--config-file",
            str(settings),
            "run",
            f"{self.url}/openapi.json",
            "-H",
            f"Authorization: Bearer {WRITE_TOKEN}",
        ]
        words += ["--exclude-checks", "positive_data_acceptance", "--generation-database", "none", "--no-shrink"]
        words += ["--suppress-health-check", "all", "--max-examples", "15", "--seed", "1", "--no-color"]
        out, errors, status = yield getProcessOutputAndValue(sys.executable, [*words, *options], env=None)
        self.assertEqual(status, 0, (out + errors).decode())

    def test_values_at_their_limits_are_answered_as_announced(self) -> Any:
        """Every operation, with every parameter at its limits, missing, and of other types."""
        return self.check("--phases", "coverage")

    def test_values_at_random_are_answered_as_announced(self) -> Any:
        """Of what changes single documents; an import is lines, which schemathesis can not make."""
        methods = ("PUT", "PATCH", "DELETE")
        return self.check("--phases", "fuzzing", *(word for each in methods for word in ("--include-method", each)))
