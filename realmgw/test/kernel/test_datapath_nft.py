"""Access to nftables: the library and the program keep the same promises."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.client import NftProgram
from realmgw.datapath.machine import capabilities
from realmgw.datapath.nft import Libnftables, Nft, refusal
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import Testbed

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:  # the contract's tests run in its subclasses only
    _Case = object

TABLE = "table inet t {\n\tcounter c {\n\t\tpackets 0 bytes 0\n\t}\n}\n"


class NftContract(_Case):
    """What holds for each access to nftables."""

    skip = requirements.missing_for_testbed()

    def access(self) -> Nft:
        """One of them, in the gateway's namespace."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Enters a namespace of the testbed."""
        testbed = Testbed(f"n{os.getpid()}-")
        testbed.__enter__()
        self.addCleanup(testbed.close)
        inside = testbed.inside("gwa")
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)
        self.nft = self.access()
        self.addCleanup(self.nft.close)

    def test_output_of_a_command_is_returned(self) -> None:
        """What was put in is listed; the next command's output is not mixed with it."""
        self.assertEqual(self.nft.run(TABLE), "")
        self.assertEqual(self.nft.run("list ruleset\n"), TABLE)
        self.assertEqual(self.nft.run("list tables\n"), "table inet t\n")

    def test_commands_are_one_transaction(self) -> None:
        """When the last one is refused, none has taken effect, and the message tells which it was."""
        with self.assertRaisesRegex(RealmGatewayError, r"^nft: Error: .*No such file or directory"):
            self.nft.run(f"{TABLE}delete table inet absent\n")
        self.assertEqual(self.nft.run("list ruleset\n"), "")

    def test_dry_run_changes_nothing_and_is_checked_by_the_kernel(self) -> None:
        """What the kernel would take passes, what it lacks does not, and the next run is a real one again."""
        self.assertEqual(self.nft.run(TABLE, dry=True), "")
        with self.assertRaises(RealmGatewayError):
            self.nft.run("delete table inet absent\n", dry=True)
        self.assertEqual(self.nft.run("list ruleset\n"), "")
        self.nft.run(TABLE)
        self.assertEqual(self.nft.run("list ruleset\n"), TABLE)

    def test_features_of_the_ruleset_are_accepted_one_by_one(self) -> None:
        """Each trial is good nft; a kernel that runs these tests has all that the datapath needs."""
        for feature in (*capabilities.FEATURES, capabilities.MAP_OF_HOSTS, capabilities.MAP_OF_MARKS):
            self.nft.run(capabilities.trial(feature, "t"), dry=True)
        self.assertEqual(self.nft.run("list ruleset\n"), "")

    def test_bad_grammar_is_told_in_one_line(self) -> None:
        """Nft's sentence, without its drawing of where."""
        with self.assertRaises(RealmGatewayError) as raised:
            self.nft.run("add nonsense\n")
        self.assertRegex(str(raised.exception), r"^nft: Error: syntax error[^\n]*add nonsense$")

    def test_close_may_be_done_twice(self) -> None:
        """As a service that failed to start does."""
        self.nft.close()
        self.nft.close()


class LibnftablesTests(NftContract, SynchronousTestCase):
    """The library in this process."""

    def access(self) -> Nft:
        """The library."""
        return Libnftables()

    def test_use_after_close_is_our_fault_and_told(self) -> None:
        """Instead of a crash of the process."""
        self.nft.close()
        with self.assertRaisesRegex(RealmGatewayError, "after it was closed"):
            self.nft.run("list tables\n")


class NftProgramTests(NftContract, SynchronousTestCase):
    """The `nft` program."""

    def access(self) -> Nft:
        """The program."""
        return NftProgram()


class MissingLibraryTests(SynchronousTestCase):
    """A machine without the library."""

    def test_package_is_named(self) -> None:
        """The message says what to install."""
        with self.assertRaisesRegex(PlatformError, "install libnftables1"):
            Libnftables("libnftables.so.0")


class RefusalTests(SynchronousTestCase):
    """`refusal`: nft's message as an error of ours."""

    def test_lack_of_privileges_is_the_platforms_fault(self) -> None:
        """And the capability is named."""
        error = refusal("Error: Could not process rule: Operation not permitted\nadd table inet t\n^^^^^\n")
        self.assertIsInstance(error, PlatformError)
        self.assertIn("CAP_NET_ADMIN", str(error))

    def test_long_command_is_cut(self) -> None:
        """A command may name a thousand hosts; the message stays one line that can be read."""
        error = refusal(f"Error: File exists\nadd element inet t hosts {{ {'0x1 : 192.0.2.1, ' * 999} }}\n^^^\n")
        self.assertLess(len(str(error)), 200)
        self.assertNotIsInstance(error, PlatformError)

    def test_silence_is_told_as_such(self) -> None:
        """An empty message makes no empty error."""
        self.assertEqual(str(refusal("")), "nft: nft failed and did not say why")
