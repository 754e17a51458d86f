"""Tests for `realmgw.control.readable`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.readers import Readers
from realmgw.control import readable
from realmgw.control.readable import User, closed, unreadable
from realmgw.test.config.test_schema import MINIMAL

STATE = "/var/lib/realmgw"


class ClosedTests(SynchronousTestCase):
    """What somebody who is not we can not read."""

    def setUp(self) -> None:
        """Files, of which everybody may read all; trial's own folder may be ours alone."""
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder)
        self.main, self.subscribers = self.folder / "realmgw.yaml", self.folder / "subscribers.d"
        for name in ("subscribers.d", "policies.d", "realmgw.d", "more"):
            (self.folder / name).mkdir()
        self.secret, self.fragment = self.folder / "key", self.folder / "realmgw.d" / "a.yaml"
        self.secret.write_text("key\n")
        self.fragment.write_text("dns: {update: {key_file: key}}\n")
        for name in "abc":
            (self.subscribers / f"{name}.yaml").write_text(f"{name}.example.org: {{address: 192.168.0.1}}\n")
        (self.folder / "more" / "p.yaml").write_text("")
        self.main.write_text(MINIMAL + "subscribers: [subscribers.d]\npolicies: [more]\n")
        for each in (self.folder, *self.folder.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)
        self.settings = config.load_partly(self.main).settings
        self.user = User(54321, "gateway", "gateways", (54321,))

    def lines(self, user: User | None = None) -> list[str]:
        """What he can not, as it begins."""
        assert self.settings is not None
        end = f" by user gateway, whose {STATE} is: if the gateway runs as that, chgrp gateways and chmod "
        found = [line.partition(end) for line in closed(user or self.user, self.main, self.settings)]
        return [f"{before.replace(f'{self.folder}/', '')} ({mode})" for before, _, mode in found]

    def test_everything_that_is_read_is_looked_at(self) -> None:
        """The main file, drop-ins, policies, subscribers, and what these name; no other file."""
        self.assertEqual(self.lines(), [])
        (self.subscribers / ".x.yaml").touch(0o600)
        policy, subscriber = self.folder / "more" / "p.yaml", self.subscribers / "b.yaml"
        for path in (self.main, self.fragment, policy, subscriber, self.secret):
            path.chmod(0o640)
            self.assertEqual(self.lines(), [f"{path.relative_to(self.folder)} can not be read (g+r)"])
            path.chmod(0o644)
        self.assertEqual(self.lines(), [])

    def test_what_has_one_reason_is_one_line(self) -> None:
        """Files of one folder, and a folder that keeps him from all of them, or from their names."""
        for each in self.subscribers.iterdir():
            each.chmod(0o600)
        self.assertEqual(self.lines(), ["subscribers.d/a.yaml and 2 more there can not be read (g+r)"])
        self.subscribers.chmod(0o700)
        self.assertEqual(self.lines(), ["subscribers.d can not be listed (g+rx)"])
        self.folder.chmod(0o700)
        self.assertEqual(self.lines(), [f"{self.folder} can not be looked into (g+x)"])

    def test_his_own_permissions_count_and_those_of_his_groups(self) -> None:
        """As the kernel has it: the owner's, else the group's, else the others'."""
        own, group = os.geteuid(), self.main.stat().st_gid
        for mode, number, groups, expected in (
            (0o600, own, (), True), (0o066, own, (), False), (0o640, 54321, (group,), True),
            (0o604, 54321, (group,), False), (0o604, 54321, (), True), (0o660, 54321, (), False),
        ):  # fmt: skip
            self.main.chmod(mode)
            user = User(number, "gateway", "gateways", groups)
            self.assertEqual(self.lines(user) == [], expected, (oct(mode), groups))

    def test_a_link_needs_both_ways(self) -> None:
        """The one to it, and that to what it names."""
        real = self.folder / "real"
        real.mkdir()
        self.main.rename(real / "main")
        self.main.symlink_to(real / "main")
        self.assertEqual(self.lines(), [])
        real.chmod(0o700)
        self.assertEqual(self.lines(), ["real can not be looked into (g+x)"])

    def test_access_lists_are_believed(self) -> None:
        """Permissions do not say what they do."""
        self.main.chmod(0o600)
        self.patch(os, "listxattr", lambda _: ["system.posix_acl_access"])
        self.assertEqual(self.lines(), [])

    def test_only_root_looks_for_somebody_else(self) -> None:
        """And only where the state is somebody's; whoever begins HAProxy may read everything."""
        self.main.chmod(0o600)
        assert self.settings is not None
        text = f"{self.main.read_text()}webproxy: {{enabled: true}}\n"
        for is_root, owner, is_found in ((True, 54321, True), (False, 54321, False), (True, None, False)):
            self.patch(readable, "is_root", lambda answer=is_root: answer)
            self.patch(readable, "stranger", lambda _, answer=owner: answer)
            found = unreadable(self.main, self.settings, Readers().wait)
            self.assertEqual(bool(found), is_found, found)
        self.patch(readable, "is_root", lambda: True)
        self.patch(readable, "stranger", lambda _: 54321)
        self.main.write_text(text)
        settings = config.load_partly(self.main).settings
        assert settings is not None
        self.assertEqual(unreadable(self.main, settings, Readers().wait), [])

    def test_users_are_known_by_their_numbers(self) -> None:
        """Or are nobody's."""
        self.assertEqual((User.of(0).name, User.of(0).group, 0 in User.of(0).groups), ("root", "root", True))
        self.assertEqual((User.of(3**20).name, tuple(User.of(3**20).groups)), (str(3**20), ()))
