"""Programs and kernel settings, as far as nobody has to be root for them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import client
from realmgw.datapath.client import NftProgram, open_nft, run_program
from realmgw.errors import PlatformError, RealmGatewayError


class RunProgramTests(SynchronousTestCase):
    """`run_program`."""

    def test_program_gets_its_input_and_its_output_is_returned(self) -> None:
        """Both as text."""
        self.assertEqual(run_program(["cat"], "some\nlines\n"), "some\nlines\n")

    def test_missing_program_is_named(self) -> None:
        """The operator can install it."""
        with self.assertRaisesRegex(PlatformError, "the program no-such-program is missing: install it"):
            run_program(["no-such-program", "argument"])

    def test_failure_is_told_in_the_programs_own_words(self) -> None:
        """And by its exit status where it has none."""
        for script, words in (("echo no >&2; exit 3", "no"), ("exit 3", "exit status 3")):
            with self.assertRaisesRegex(RealmGatewayError, f": {words}$"):
                run_program(["sh", "-c", script])


class OpenNftTests(SynchronousTestCase):
    """`open_nft`: which access to nftables."""

    def test_program_is_taken_where_the_library_is_missing(self) -> None:
        """It is slower, and does the same."""
        self.assertIsInstance(open_nft("libmissing.so.1", "sh"), NftProgram)

    def test_neither_is_told_with_both_remedies(self) -> None:
        """One line that says what to install."""
        with self.assertRaisesRegex(PlatformError, "install libnftables1; or install nftables") as raised:
            open_nft("libmissing.so.1", "no-such-program")
        self.assertNotIn("\n", str(raised.exception))


class SysctlTests(SynchronousTestCase):
    """`read_sysctl` and `write_sysctl`."""

    def test_setting_that_the_kernel_lacks_has_no_value(self) -> None:
        """It is no error: a module may be missing."""
        self.assertIsNone(client.read_sysctl("net/ipv4/no_such_setting"))

    def test_setting_that_can_not_be_set_is_named_with_the_command(self) -> None:
        """In a container /proc/sys is often read-only; this one is so everywhere."""
        with self.assertRaisesRegex(PlatformError, r"kernel\.cap_last_cap can not be set .* sysctl -w .*=7$"):
            client.write_sysctl("kernel/cap_last_cap", 7)
