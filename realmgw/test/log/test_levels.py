"""Tests for `realmgw.log.levels`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.external import LOG_PARTS, Logging, LogLevel
from realmgw.log.levels import levels
from realmgw.test.checkout import PACKAGE


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


class LevelsTests(SynchronousTestCase):
    """`levels` turns the settings into namespaces."""

    def test_everything_has_the_general_level(self) -> None:
        """But Twisted, which tells of sockets and factories."""
        self.assertEqual(levels(Logging()), {"": LogLevel.INFO, "twisted": LogLevel.WARN, "log_legacy": LogLevel.WARN})
        self.assertEqual(set(levels(Logging(LogLevel.ERROR)).values()), {LogLevel.ERROR})

    def test_parts_have_their_own(self) -> None:
        """By the names of rooms and modules."""
        found = levels(Logging(levels=(("dns", LogLevel.DEBUG), ("dns.server", LogLevel.ERROR))))
        self.assertEqual((found["realmgw.dns"], found["realmgw.dns.server"]), (LogLevel.DEBUG, LogLevel.ERROR))

    def test_twisted_is_a_part(self) -> None:
        """With its old way to log; or one of its modules alone."""
        found = levels(Logging(levels=(("twisted", LogLevel.INFO), ("twisted.web", LogLevel.DEBUG))))
        self.assertEqual(
            (found["twisted"], found["log_legacy"], found["twisted.web"]),
            (LogLevel.INFO, LogLevel.INFO, LogLevel.DEBUG),
        )

    def test_what_listens_is_quiet(self) -> None:
        """Twisted tells of factories by the names of their classes, which are ours: no level would keep that back."""
        ours = [
            value
            for path in PACKAGE.rglob("*.py")
            if "test" not in path.relative_to(PACKAGE).parts and path.name in ("port.py", "server.py")
            for value in vars(import_module(_name(path))).values()
            if isinstance(value, type) and value.__module__ == _name(path)
            and issubclass(value, Factory | DatagramProtocol)
        ]  # fmt: skip
        self.assertGreater(len(ours), 3)
        self.assertEqual([value.__qualname__ for value in ours if value.noisy], [])

    def test_every_room_that_logs_can_be_named(self) -> None:
        """Else its level could not be set."""
        logging = {
            path.relative_to(PACKAGE).parts[0].removesuffix(".py")
            for path in PACKAGE.rglob("*.py")
            if "Logger()" in path.read_text() and "test" not in path.relative_to(PACKAGE).parts
        }
        self.assertTrue(logging)
        self.assertEqual(logging, set(LOG_PARTS) - {"twisted"})
