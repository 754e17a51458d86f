"""Tests for `realmgw.datapath.machine.former` and `realmgw.datapath.machine.disk`."""

from __future__ import annotations

import contextlib
import os
from itertools import product
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.machine.disk import KEPT, FormerValues
from realmgw.datapath.machine.former import Former, NetworkNamespace, remembering, restoring
from realmgw.datapath.machine.sysctls import COUNTED, FORWARDING, FORWARDING6, LOOSE, REQUIRED
from realmgw.errors import MalformedError, RealmGatewayError

HERE = NetworkNamespace("boot-1", "0100")
AS_WE_WANT = dict(REQUIRED)


class RememberingTests(SynchronousTestCase):
    """`remembering`."""

    def test_the_first_value_counts(self) -> None:
        """However often the gateway starts."""
        first = remembering({}, {FORWARDING: 0, LOOSE: 1}, standing=False)
        self.assertEqual(remembering(first, AS_WE_WANT, standing=True), {FORWARDING: 0, LOOSE: 1})
        self.assertEqual(remembering(first, AS_WE_WANT, standing=False), {FORWARDING: 0, LOOSE: 1})

    def test_what_was_as_we_want_it_is_remembered_as_well(self) -> None:
        """That it was so before is what a purge has to know."""
        self.assertEqual(remembering({}, AS_WE_WANT, standing=False), AS_WE_WANT)

    def test_what_an_earlier_start_may_have_changed_is_not_known(self) -> None:
        """Its table stands, and it has remembered nothing."""
        self.assertEqual(remembering({}, {FORWARDING: 1, LOOSE: 1}, standing=True), {LOOSE: 1})


class RestoringTests(SynchronousTestCase):
    """`restoring`."""

    def test_what_we_changed_goes_back(self) -> None:
        """What closes the machine first, and the rest last."""
        found = restoring({FORWARDING: 0, LOOSE: 1}, AS_WE_WANT, found=True)
        self.assertEqual((found.first, found.last, found.notes), ({FORWARDING: 0}, {LOOSE: 1}, ()))

    def test_what_the_kernel_changed_by_itself_goes_back_too(self) -> None:
        """When forwarding is switched off again; where it stays on, nothing was changed."""
        redirects, other = "net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/eth0.7/forwarding"
        former = {FORWARDING: 0, redirects: 0, other: 1, "kernel/panic": 1}
        found = restoring(former, {FORWARDING: 1}, found=True)
        self.assertEqual((found.first, found.last), ({FORWARDING: 0}, {redirects: 0, other: 1}))
        self.assertEqual(restoring({**former, FORWARDING: 1}, {FORWARDING: 1}, found=True).last, {})

    def test_an_interface_that_did_not_forward_does_not_afterwards(self) -> None:
        """On a machine that routes by others: it is closed first. Where the machine stops routing, it is by itself."""
        lan = "net/ipv4/conf/lan0/forwarding"
        found = restoring({FORWARDING: 1, LOOSE: 1, lan: 0}, AS_WE_WANT, found=True)
        self.assertEqual((found.first, found.last), ({lan: 0}, {LOOSE: 1}))
        found = restoring({LOOSE: 0, lan: 0}, AS_WE_WANT, found=True)
        self.assertEqual((found.first, found.last), ({FORWARDING: 0}, {}))

    def test_forwarding_that_was_on_before_stays_and_is_told(self) -> None:
        """Others route by it."""
        found = restoring(AS_WE_WANT, AS_WE_WANT, found=True)
        self.assertEqual((found.first, found.last), ({}, {}))
        self.assertIn("net.ipv4.ip_forward stays 1, as it was before", found.notes[0])

    def test_what_was_set_for_records_goes_back(self) -> None:
        """Where it was set; where nothing is remembered of it, it is somebody else's."""
        account, times = COUNTED
        present = {**AS_WE_WANT, account: 1, times: 1}
        found = restoring({**AS_WE_WANT, account: 0, times: 1}, present, found=True)
        self.assertEqual(found.last, {account: 0})
        self.assertEqual(restoring(AS_WE_WANT, present, found=True).last, {})

    def test_what_others_have_set_since_stays(self) -> None:
        """It is theirs."""
        found = restoring({FORWARDING: 1, LOOSE: 1}, {FORWARDING: 0, LOOSE: 1}, found=True)
        self.assertEqual((found.first, found.last), ({}, {}))
        self.assertEqual(found.notes, ("net.ipv4.ip_forward stays 0: somebody else has set it since",))

    def test_ipv6_goes_back_as_well(self) -> None:
        """Forwarding first; and the WAN heeds routers as it did."""
        lan, heeds = "net/ipv6/conf/lan0/forwarding", "net/ipv6/conf/wan0/accept_ra"
        present = {**AS_WE_WANT, FORWARDING6: 1, heeds: 2}
        found = restoring({**AS_WE_WANT, FORWARDING6: 0, lan: 1, heeds: 1}, present, found=True)
        self.assertEqual((found.first, found.last), ({FORWARDING6: 0}, {lan: 1, heeds: 1}))
        found = restoring({**AS_WE_WANT, FORWARDING6: 1, lan: 0}, present, found=True)
        self.assertEqual((found.first, found.last), ({lan: 0}, {}))
        self.assertIn("net.ipv6.conf.all.forwarding stays 1, as it was before", found.notes[1])
        found = restoring({FORWARDING6: 1, heeds: 1}, {**present, FORWARDING6: 0}, found=True)
        self.assertEqual((FORWARDING6 in {**found.first, **found.last}, found.last[heeds]), (False, 1))
        self.assertIn("net.ipv6.conf.all.forwarding stays 0: somebody else has set it since", found.notes)

    def test_ipv6_of_which_nothing_is_remembered_is_left_alone(self) -> None:
        """It may never have been in use: others route by it. Where it stands, the machine does not stay open by it."""
        found = restoring({FORWARDING: 1, LOOSE: 0}, {**AS_WE_WANT, FORWARDING6: 1}, found=True)
        self.assertEqual((found.first, found.last), ({}, {}))
        found = restoring({FORWARDING: 1, LOOSE: 0}, {**AS_WE_WANT, FORWARDING6: 1}, found=True, found6=True)
        self.assertEqual(found.first, {FORWARDING6: 0})
        self.assertIn(
            "net.ipv6.conf.all.forwarding is 0 now: what it was before the gateway is not known", found.notes[1]
        )
        kept = remembering({}, {FORWARDING6: 1, "net/ipv6/conf/wan0/accept_ra": 2}, standing=True)
        self.assertEqual(kept, {})

    def test_the_machine_never_stays_open_by_our_doing(self) -> None:
        """Over all that can be remembered and can be: it routes afterwards only if it did before, or others want it."""
        for before, present, found in product((None, 0, 1), (0, 1), (True, False)):
            former = {} if before is None else {FORWARDING: before}
            result = restoring(former, {FORWARDING: present}, found=found)
            after = {**result.first, **result.last}.get(FORWARDING, present)
            if found and after == 1:
                self.assertEqual(before, 1)
            if not found and before is None:
                self.assertEqual(after, present)

    def test_settings_that_the_kernel_has_not_are_left_out(self) -> None:
        """Its module was unloaded."""
        self.assertEqual(restoring({LOOSE: 1}, {}, found=True), restoring({}, {}, found=False))


class FormerTests(SynchronousTestCase):
    """`Former`, as it is written."""

    def test_is_read_as_it_was_written(self) -> None:
        """All of it."""
        former = Former(HERE, {FORWARDING: 0})
        self.assertEqual(Former.parse(former.text()), former)

    @given(st.one_of(st.binary(max_size=99), st.from_regex(rb'\{"values": .{0,30}\}')))
    def test_anything_else_is_malformed(self, text: bytes) -> None:
        """And raises nothing else."""
        with contextlib.suppress(MalformedError):
            Former.parse(text)


class FormerValuesTests(SynchronousTestCase):
    """`FormerValues`: a folder of files."""

    def setUp(self) -> None:
        """An empty folder."""
        self.folder = Path(self.mktemp())

    def values(self, where: NetworkNamespace = HERE, table: str = "realmgw") -> FormerValues:
        """The values of a gateway, as a new process sees them."""
        return FormerValues(self.folder, table, lambda: where)

    def remember(self, values: FormerValues, forwarding: int) -> None:
        """Remembers a value."""
        self.assertIsNone(values.remember({FORWARDING: forwarding}, standing=False))

    def test_outlive_the_process(self) -> None:
        """The first ones, until they are forgotten."""
        self.remember(self.values(), 0)
        self.remember(self.values(), 1)
        self.assertEqual(self.values().known(), {FORWARDING: 0})
        self.values().forget()
        self.values().forget()
        self.assertEqual(self.values().known(), {})

    def test_are_those_of_a_boot_a_namespace_and_a_table(self) -> None:
        """A reboot sets all of them back; containers that share the folder have their own."""
        self.remember(self.values(), 0)
        for other in (NetworkNamespace("boot-2", HERE.namespace), NetworkNamespace(HERE.boot, "0200")):
            self.assertEqual(self.values(other).known(), {})
        self.assertEqual(self.values(table="other").known(), {})
        self.assertEqual(self.values().known(), {FORWARDING: 0})

    def test_of_earlier_boots_go(self) -> None:
        """When something is written."""
        self.remember(self.values(), 0)
        self.remember(self.values(NetworkNamespace("boot-2", "0300")), 1)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["sysctls-realmgw-0300"])

    def test_there_are_never_too_many(self) -> None:
        """The latest are kept."""
        for number in range(KEPT + 3):
            self.remember(self.values(NetworkNamespace("boot-1", f"{number:04}")), 0)
            os.utime(self.folder / f"sysctls-realmgw-{number:04}", (number, number))
        self.assertLessEqual(len(list(self.folder.iterdir())), KEPT)
        self.assertEqual(self.values(NetworkNamespace("boot-1", f"{KEPT + 2:04}")).known(), {FORWARDING: 0})

    def test_damaged_file_is_none(self) -> None:
        """It can not be trusted, so nothing is known."""
        self.remember(self.values(), 0)
        [path] = self.folder.iterdir()
        path.write_bytes(path.read_bytes().replace(b": 0", b": 1"))
        self.assertEqual(self.values().known(), {})

    def test_disk_that_refuses_is_told(self) -> None:
        """In a line; the file in the folder's place can not be one."""
        self.folder.write_text("")
        problem = self.values().remember({FORWARDING: 0}, standing=False)
        self.assertIn("is not remembered, so a purge will not put them back", str(problem))

    def test_kernel_that_does_not_tell_is_told(self) -> None:
        """There is nothing to remember it by."""

        def nowhere() -> NetworkNamespace:
            raise RealmGatewayError("no")

        values = FormerValues(self.folder, "realmgw", nowhere)
        self.assertIn("no", str(values.remember({FORWARDING: 0}, standing=False)))
        self.assertEqual(values.known(), {})
