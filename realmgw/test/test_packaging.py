"""Tests for what the Debian package is made of (`debian/`); `testbed/package` builds it and tries it."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

import realmgw
from realmgw.config import haproxy
from realmgw.config.settings import Control, Settings
from realmgw.control.commands import COMMANDS
from realmgw.repository import tap
from realmgw.synnode.settings import NodeSettings, Operators
from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT, project_files

DEBIAN = CHECKOUT / "debian"
PREFIX = "/usr/lib/realmgw/bin/"


def unit(path: Path) -> dict[str, list[str]]:
    """What a unit says: its keys with their values, in their order."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


class PackagingTestCase(SynchronousTestCase):
    """Tests that need `debian/`."""

    skip = NO_CHECKOUT

    def text(self, name: str) -> str:
        """A file of `debian/`."""
        return (DEBIAN / name).read_text()

    def units(self) -> dict[str, dict[str, list[str]]]:
        """What each of our units says."""
        paths = DEBIAN.glob("realmgw.*.service")
        return {path.name.removeprefix("realmgw.").removesuffix(".service"): unit(path) for path in paths}


class FilesTests(PackagingTestCase):
    """What is packed."""

    def test_a_version_without_git_is_everywhere_the_same(self) -> None:
        """It is the coming one: in the package, where git is not there, for Debian, and at the head of the changes."""
        [version] = re.findall(r'^fallback_version = "(.*)"$', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
        self.assertEqual(version, realmgw.__version__)
        self.assertTrue(self.text("changelog").startswith(f"realmgw ({version.replace('.dev', '~dev')}) "))
        [coming] = re.findall(r"^## (\S+) \(not released\)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
        self.assertEqual(version, f"{coming}.dev0")

    def test_manual_pages_are_of_the_coming_version(self) -> None:
        """What is built says its own: it is written where these say this one."""
        coming, _, _ = realmgw.__version__.partition(".dev")
        for path in (CHECKOUT / "docs" / "man").iterdir():
            self.assertIn(f'"realmgw {coming}"', path.read_text().splitlines()[0], path.name)

    def test_whatever_is_listed_is_there_and_belongs_to_the_project(self) -> None:
        """Every pattern finds something that is committed."""
        known = {path.relative_to(CHECKOUT) for path in project_files()}
        known |= {parent for path in known for parent in path.parents}
        for name in ("install", "docs", "examples", "manpages"):
            for line in self.text(f"realmgw.{name}").splitlines():
                found = {path.relative_to(CHECKOUT) for path in CHECKOUT.glob(line.split()[0])}
                self.assertTrue(found, line)
                self.assertTrue(found & known, line)

    def test_every_manual_page_and_example_is_packed(self) -> None:
        """A new one as well."""
        pages = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs" / "man").iterdir()}
        self.assertEqual(set(self.text("realmgw.manpages").split()), pages)
        self.assertIn("conf/*", self.text("realmgw.examples").split())

    def test_every_option_of_the_repository_is_in_its_manual_page(self) -> None:
        """The others have theirs from the commands themselves."""
        page = (CHECKOUT / "docs" / "man" / "realmgw-repository.8").read_text().replace("\\-", "-")
        self.assertEqual([name for name, *_ in tap.Options.optParameters if f"--{name}" not in page], [])

    def test_every_program_can_be_called(self) -> None:
        """Console scripts by their names; twistd by another, where Debian's is."""
        setup = configparser.ConfigParser()
        setup.read(CHECKOUT / "setup.cfg")
        scripts = re.findall(r"^([\w-]+) =", setup["options.entry_points"]["console_scripts"], re.MULTILINE)
        links = dict(map(str.split, self.text("realmgw.links").splitlines()))
        for script in scripts:
            self.assertEqual(links[f"{PREFIX[1:]}{script}"], f"usr/bin/{script}")
        self.assertEqual(links[f"{PREFIX[1:]}twistd"], "usr/bin/realmgw-twistd")
        (kept,) = re.findall(r"^SCRIPTS := (.*)$", self.text("rules"), re.MULTILINE)
        self.assertEqual(set(kept.split()), {*scripts, "twistd"})
        self.assertIn(f"{PREFIX}twistd --nodaemon realmgw-repository", self.text("bin/realmgw-repository"))

    def test_every_requirement_of_the_machine_is_a_dependency(self) -> None:
        """What the README has installed, but for what something is built with; that is asked for when it is built."""
        (line,) = re.findall(r"^apt-get install (.*)$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
        control = self.text("control")
        building, _, running = control.partition("\n\n")
        for package in line.split():
            is_built_with = package.startswith("python3-") or package.endswith("-dev") or package == "pkg-config"
            if package != "build-essential":  # what debhelper has anyway
                self.assertIn(f" {package}", building if is_built_with else running)

    def test_scripts_are_of_the_shell_and_leave_debhelper_its_place(self) -> None:
        """Each ends when a command fails."""
        for name in ("postinst", "prerm", "postrm"):
            self.assertIn("\nset -e\n", self.text(f"realmgw.{name}"))
            self.assertIn("\n#DEBHELPER#\n", self.text(f"realmgw.{name}"))
            done = subprocess.run(["sh", "-n", DEBIAN / f"realmgw.{name}"], capture_output=True, check=False)
            self.assertEqual((name, done.returncode, done.stderr), (name, 0, b""))


class UnitTests(PackagingTestCase):
    """What systemd is told."""

    def test_there_is_one_for_each_service_and_each_starts_it(self) -> None:
        """That of twistd's plugin, in the foreground; systemd hears of it."""
        plugins = {path.stem for path in (CHECKOUT / "twisted" / "plugins").glob("*.py")}
        units = self.units()
        self.assertEqual({f"{name.replace('-', '_')}_plugin" for name in units}, plugins)
        for name, said in units.items():
            (command,) = said["ExecStart"]
            self.assertEqual(shlex.split(command)[:3], [f"{PREFIX}twistd", "--nodaemon", name])
            self.assertEqual((said["Type"], said["WatchdogSec"]), (["notify"], ["60"]))

    def test_each_is_tried_again_for_as_long_as_it_takes(self) -> None:
        """What keeps it from starting may pass; systemd gives up after five starts in ten seconds, if it may."""
        for said in self.units().values():
            self.assertEqual((said["Restart"], said["StartLimitIntervalSec"]), (["on-failure"], ["0"]))

    def test_none_is_started_by_the_installation(self) -> None:
        """Nor enabled: there is no configuration yet."""
        lines = re.findall(r"^\tdh_installsystemd (.*)$", self.text("rules"), re.MULTILINE)
        self.assertEqual(sorted(lines), [f"--name={name} --no-enable --no-start" for name in sorted(self.units())])

    def test_users_are_made_and_removed(self) -> None:
        """Each service has one of its own, with a folder for its state; none is root."""
        users = [said["User"][0] for said in self.units().values()]
        self.assertEqual(len(set(users)), len(users))
        self.assertNotIn("root", users)
        for script in ("postinst", "postrm"):
            (made,) = re.findall(r"^\t+for user in (.*); do", self.text(f"realmgw.{script}"), re.MULTILINE)
            self.assertEqual(sorted(made.split()), sorted(users))

    def test_folders_are_those_that_the_services_use_by_default(self) -> None:
        """Of the state and of sockets."""
        for name, said in self.units().items():
            self.assertEqual((said["RuntimeDirectory"], said["StateDirectory"]), ([name], [name]))
        defaults = {
            "realmgw": (Control().socket, attrs.fields(Settings).state.default),
            "realmgw-synproxy": (Operators().socket, attrs.fields(NodeSettings).state.default),
            "realmgw-repository": (tap.SOCKET, tap.DATABASE),
        }
        for name, (socket, state) in defaults.items():
            self.assertEqual(Path(str(socket)).parent, Path(f"/run/{name}"))
            self.assertIn(Path(f"/var/lib/{name}"), (Path(str(state)), Path(str(state)).parent))

    def test_what_they_call_besides_exists(self) -> None:
        """The command by which a reload is asked for."""
        self.assertEqual(self.units()["realmgw"]["ExecReload"], ["/usr/bin/realmgw reload"])
        self.assertIn("reload", COMMANDS)

    def test_options_that_are_shown_for_the_repository_are_its(self) -> None:
        """Those in /etc/default; as they come, there are none."""
        (shown,) = re.findall(r'^#OPTIONS="(.*)"$', self.text("default/realmgw-repository"), re.MULTILINE)
        options = tap.Options()
        options.parseOptions(shlex.split(shown))
        self.assertEqual(options["token"], "/etc/realmgw-repository/token")
        self.assertIn('\nOPTIONS=""\n', self.text("default/realmgw-repository"))

    def test_the_exceptions_are_explained(self) -> None:
        """Whatever protects one of the units, and not the gateway's."""
        text = (CHECKOUT / "docs" / "installing.md").read_text()
        units = self.units()
        protections = {
            key for said in units.values() for key in said if re.match("Protect|Private|Restrict|Memory", key)
        }
        for key in protections - set(units["realmgw"]):
            self.assertIn(f"`{key}", text)

    def test_the_drop_in_for_the_web_proxy_adds_what_haproxy_needs(self) -> None:
        """It is named after a key that exists; each capability is explained. The user stays, and no call is refused."""
        self.assertIn("webproxy", Settings.__annotations__)
        said, text = unit(DEBIAN / "webproxy.conf"), (CHECKOUT / "docs" / "installing.md").read_text()
        self.assertEqual(set(said), {"AmbientCapabilities", "CapabilityBoundingSet", "SystemCallFilter"})
        for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
            added = said[key][0].split()
            given = {*self.units()["realmgw"][key][0].split(), *added}
            self.assertEqual({*haproxy.NEEDED, "CAP_NET_BIND_SERVICE"} - given, set(), key)
            self.assertEqual([each for each in added if not re.search(rf"^\| [^|]*\b{each}\b", text, re.MULTILINE)], [])
        self.assertFalse(said["SystemCallFilter"][0].startswith("~"))


class AnalyzedTests(PackagingTestCase):
    """What systemd's own program says of the units; `testbed/package` asks it where they are installed."""

    skip = NO_CHECKOUT or programs.missing("systemd-analyze")

    def analyze(self, name: str, *arguments: str, less: str = "", more: str = "") -> tuple[int, str]:
        """Its exit status and what it says of a unit, whose programs are as if they were installed.

        Args:
            name: The unit's.
            arguments: What is asked.
            less: A line that is left out.
            more: What is added, as by a drop-in.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder.absolute() / f"{name}.service"
        text = self.text(f"realmgw.{name}.service").replace(less, "") + more
        path.write_text(re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", text, flags=re.MULTILINE))
        argv = ["systemd-analyze", *arguments, str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_it_understands_them(self) -> None:
        """It would say which line it does not."""
        for name in self.units():
            self.assertEqual(self.analyze(name, "verify", "--man=no"), (0, ""))
        drop_in = self.text("webproxy.conf")
        self.assertEqual(self.analyze("realmgw", "verify", "--man=no", more=drop_in), (0, ""))
        said = self.analyze("realmgw", "verify", "--man=no", less="LimitNOFILE=")[1]
        self.assertIn("realmgw.service:", said)

    def test_they_are_not_exposed(self) -> None:
        """Beyond what is explained in docs/installing.md; one that may do everything is seen."""
        [most] = re.findall(r"^EXPOSED=(\d+)", (CHECKOUT / "testbed" / "package").read_text(), re.MULTILINE)
        asked = "security", "--offline=true", f"--threshold={most}"
        for name in self.units():
            status, said = self.analyze(name, *asked)
            self.assertEqual(status, 0, said)
        self.assertEqual(self.analyze("realmgw", *asked, less="SystemCallFilter=@system-service\n")[0], 1)

    def calls(self, name: str) -> set[str]:
        """The system calls of a group (`@group`), or that one."""
        if not name.startswith("@"):
            return {name}
        argv = ["systemd-analyze", "syscall-filter", name]
        lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        its = [line.strip() for line in lines if line.startswith("    ") and not line.strip().startswith("#")]
        return set().union(*(self.calls(each) for each in its))

    def test_they_may_make_the_calls_that_they_make(self) -> None:
        """Those that are of groups which are refused: a recorder and a forwarder have a lower priority.

        HAProxy is begun as root, and has another user and another root folder afterwards; its sockets are that user's.
        """
        own = {"setpriority", "prlimit64", "sched_setaffinity"}
        begun = {
            "capset",
            "prctl",
            "setgroups",
            "setresgid",
            "setresuid",
            "setgid",
            "setuid",
            "chroot",
            "chown",
            "chmod",
        }
        made = {
            ("realmgw.realmgw.service",): own,
            ("realmgw.realmgw-synproxy.service",): {"prlimit64"},
            ("realmgw.realmgw.service", "webproxy.conf"): own | begun | {"kill", "pidfd_open", "pidfd_send_signal"},
        }
        for files, wanted in made.items():
            allowed = set[str]()
            for said in re.findall(r"^SystemCallFilter=(.*)$", "".join(map(self.text, files)), re.MULTILINE):
                which = set().union(*map(self.calls, said.lstrip("~").split()))
                allowed = allowed - which if said.startswith("~") else allowed | which
            self.assertEqual(wanted - allowed, set(), files)
