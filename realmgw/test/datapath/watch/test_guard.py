"""Tests of the guard; `realmgw.test.kernel.test_datapath_closed` has it in a kernel."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.ruleset import Ruleset
from realmgw.datapath.watch.guard import RETRY, Guard, guard_rules
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.test.datapath.test_proxied import settings as with_proxy

RULESET = Ruleset.of(settings(MINIMAL), native_queue=True)


class RecordingNft:
    """Notes what it is told to run, or refuses it."""

    def __init__(self) -> None:
        """Refuses nothing."""
        self.ran: list[str] = []
        self.refusal: RealmGatewayError | None = None
        self.closed = 0

    def run(self, commands: str, *, dry: bool = False) -> str:
        """See `Nft`."""
        del dry
        if self.refusal is not None:
            raise self.refusal
        self.ran.append(commands)
        return ""

    def close(self) -> None:
        """See `Nft`."""
        self.closed += 1


class GuardTests(SynchronousTestCase):
    """`Guard`."""

    def setUp(self) -> None:
        """Nothing stands."""
        self.nft = RecordingNft()
        self.guard = Guard(lambda: self.nft)

    def test_is_placed_once(self) -> None:
        """And anew when what it guards is another."""
        for ruleset in (RULESET, RULESET, attrs.evolve(RULESET, lan=("lan7",))):
            self.guard.place(ruleset)
        self.assertEqual(len(self.nft.ran), 2)
        self.assertIn('"lan7"', self.nft.ran[1])
        self.assertTrue(self.guard.is_installed)

    def test_goes_with_its_socket(self) -> None:
        """A second removal finds nothing; it can be placed again."""
        self.guard.place(RULESET)
        for _ in range(2):
            self.guard.remove()
        self.assertEqual((self.nft.closed, self.guard.is_installed), (1, False))
        self.guard.place(RULESET)
        self.assertEqual(len(self.nft.ran), 2)

    def test_kernel_without_owners_is_noted(self) -> None:
        """The gateway runs all the same; the socket is given back."""
        self.nft.refusal = RealmGatewayError("nft: Operation not supported")
        self.guard.place(RULESET)
        self.assertEqual((self.guard.is_installed, self.guard.refusal, self.nft.closed), (False, self.nft.refusal, 1))

    def test_what_was_refused_is_tried_again(self) -> None:
        """Now and then: it may have been for a table of its name that is gone, or for a moment without memory."""
        self.nft.refusal = RealmGatewayError("nft: File exists")
        self.guard.place(RULESET)
        self.nft.refusal = None
        for _ in range(RETRY - 1):
            self.guard.place(RULESET)
        self.assertFalse(self.guard.is_installed)
        self.guard.place(RULESET)
        self.assertEqual((self.guard.is_installed, self.guard.refusal), (True, None))

    def test_machine_without_the_library_is_noted(self) -> None:
        """The gateway runs by the program `nft`, which owns nothing when it has ended."""

        def missing() -> RecordingNft:
            raise PlatformError("libnftables.so.1 can not be used")

        guard = Guard(missing)
        guard.place(RULESET)
        self.assertEqual((guard.is_installed, str(guard.refusal)), (False, "libnftables.so.1 can not be used"))

    def test_may_be_unwanted(self) -> None:
        """Nothing is opened then."""
        guard = Guard(None)
        guard.place(RULESET)
        self.assertFalse(guard.is_installed)

    def test_has_an_owner_and_is_replaced_in_one_transaction(self) -> None:
        """Declared first, so that the deletion succeeds; only the owner can do that."""
        rules = guard_rules(RULESET)
        self.assertEqual(rules.count("flags owner"), 2)
        self.assertLess(rules.index("flags owner"), rules.index("delete table inet realmgw_guard"))

    def test_holds_the_web_proxy(self) -> None:
        """Behind the table's own chain: what that has not marked begins nothing. Without a proxy nothing is said."""
        ruleset = Ruleset.of(with_proxy(), native_queue=True)
        self.assertIn(
            "\tchain proxy_sends {\n"
            "\t\ttype filter hook output priority filter + 1; policy accept;\n"
            f"\t\tmeta skuid 108 oifname {ruleset.interfaces[1]} ct state new"
            " meta mark and 0xf0000000 != 0x80000000 drop\n"
            "\t}\n",
            guard_rules(ruleset),
        )
        self.assertNotIn("proxy_sends", guard_rules(RULESET))
