"""What `--bare` of the testbed's programs is made of (testbed/bare.sh).

Who is in the cage ends with it, and nothing of the machine goes with it.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel import requirements

PATIENCE = 20.0  # seconds
SOURCED = f"set --; cd {CHECKOUT}; source testbed/setup.sh; source testbed/bare.sh; "
"""What a program begins with; arguments come as $A, $B, ..."""


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a script that has sourced the parts."""
    everything = {"HOME": "/nowhere", "PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        ["bash", "-c", SOURCED + script, str(CHECKOUT / "testbed" / "check")], env=everything, capture_output=True,
        text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


KEA = ("kea-dhcp4-server", "kea-dhcp6-server", "kea-dhcp-ddns-server")


class ArgumentTests(SynchronousTestCase):
    """`--bare [SUITE]` among other arguments."""

    skip = NO_CHECKOUT

    def asked(self, arguments: str) -> str:
        """What is understood."""
        done = run(
            f'bare_asked {arguments} && echo "$bare_suite: ${{bare_arguments[*]}}" || echo "no: ${{bare_arguments[*]}}"'
        )
        return done.stdout.strip() or done.stderr.strip()

    def test_suite_is_bookworm_unless_one_is_named(self) -> None:
        """Whatever stands around it."""
        self.assertEqual(self.asked("--bare"), "bookworm:")
        self.assertEqual(self.asked("--bare trixie"), "trixie:")
        self.assertEqual(self.asked("--bare=trixie realmgw.test.dns"), "trixie: realmgw.test.dns")
        self.assertEqual(self.asked("--bare realmgw.test.dns"), "bookworm: realmgw.test.dns")
        self.assertEqual(self.asked("realmgw.test.dns --bare trixie -- a b"), "trixie: realmgw.test.dns a b")

    def test_is_not_asked_for_without_it(self) -> None:
        """What comes after `--` is no option."""
        self.assertEqual(self.asked("realmgw.test.dns"), "no: realmgw.test.dns")
        self.assertEqual(self.asked("-- --bare"), "no: --bare")

    def test_unknown_suite_is_refused(self) -> None:
        """With those that there are."""
        self.assertIn("--bare knows bookworm trixie, not sid", self.asked("--bare=sid"))


class RegistryTests(SynchronousTestCase):
    """What is taken along, so that packages are reached from the root as from here."""

    skip = NO_CHECKOUT

    def test_folders_and_files_that_pip_is_told_of(self) -> None:
        """By its files and by variables: folders are bound, files are copied, caches stay here, URLs are left alone."""
        folder = Path(self.mktemp()).absolute()
        for name in ("home/.config/pip", "index/simple", "index/files", "wheels", "cache", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "constraints.txt").write_text("attrs\n")
        (folder / "home/.config/pip/pip.conf").write_text(
            f"[global]\nextra-index-url = file://{folder}/index/simple\n    https://pypi.example.org/simple\n"
            f"cache-dir = {folder}/cache\n# find-links = {folder}/root\n"
        )
        done = run(
            'bare_folder=$A; bare_pip "$A/root"; tr "\\0" "\\n" <"$A/bound"', A=str(folder), HOME=str(folder / "home"),
            PIP_FIND_LINKS=str(folder / "wheels"), PIP_CONSTRAINT=str(folder / "constraints.txt"),
            PIP_CACHE_DIR=str(folder / "cache"),
        )  # fmt: skip
        mine = [line for line in done.stdout.splitlines() if line.startswith(str(folder))]
        self.assertEqual(sorted(mine), [f"{folder}/index", f"{folder}/wheels"], done.stderr)
        self.assertTrue((folder / "root" / "root/.config/pip/pip.conf").exists())
        self.assertEqual(Path(f"{folder}/root{folder}/constraints.txt").read_text(), "attrs\n")
        self.assertFalse(Path(f"{folder}/root{folder}/cache").exists())

    def test_variables_that_tell_how_packages_are_reached(self) -> None:
        """And no others."""
        done = run(
            'bare_variables | tr "\\0" "\\n"', PIP_INDEX_URL="https://pypi.example.org", SSL_CERT_FILE="/c",
            http_proxy="http://192.0.2.1", HTTPS_PROXY="http://192.0.2.1", PYTHONPATH="/p", LANG="C", PIP_LOG="/l",
            PIP_TARGET="/t",
        )  # fmt: skip
        names = {line.partition("=")[0] for line in done.stdout.splitlines()}
        self.assertEqual(names, {"PIP_INDEX_URL", "SSL_CERT_FILE", "http_proxy", "HTTPS_PROXY"}, done.stderr)

    def test_link_in_the_root_does_not_lead_out_of_it(self) -> None:
        """What is copied takes its place; where it led to stays as it is, with its mode."""
        folder = Path(self.mktemp()).absolute()
        for name in ("etc", "root"):
            (folder / name).mkdir(parents=True)
        outside, copied = folder / "outside", folder / "etc" / "hosts"
        outside.write_text("outside")
        outside.chmod(0o600)
        copied.write_text("copied")
        copied.chmod(0o755)
        place = Path(f"{folder}/root{copied}")
        place.parent.mkdir(parents=True)
        place.symlink_to(outside)
        done = run('bare_copy "$A" "$B"', A=str(copied), B=str(folder / "root"))
        self.assertEqual((place.is_symlink(), place.read_text()), (False, "copied"), done.stderr)
        self.assertEqual((outside.read_text(), outside.stat().st_mode & 0o777), ("outside", 0o600))


class PackageTests(SynchronousTestCase):
    """What is installed, in a place where nothing of the machine is."""

    skip = NO_CHECKOUT or requirements.missing_for_testbed()
    script = """mount -t tmpfs none /usr/sbin
dpkg-query() { :; }
apt-get() { [[ $* != *" install "* ]] || { /usr/sbin/policy-rc.d; echo "$?: ${*: -2}" >&2; }; }
systemctl() { [ "$1" != is-enabled ] || { [ "$3" = named ]; return; }; echo "$*" >>/usr/sbin/said; }
need_apt unbound radvd; cat /usr/sbin/said; ls /usr/sbin"""

    def test_no_service_is_started_or_enabled(self) -> None:
        """Neither by what is there now, nor at the next boot; one that was enabled before stays so."""
        done = run('bare_caged bash -c "$A" "$0"', A=SOURCED + self.script)
        self.assertEqual(done.stderr, "101: unbound radvd\n")
        resolvers, dhcp = ("unbound", "kresd@1", "pdns-recursor"), ("isc-dhcp-server", *KEA)
        disabled = [
            f"disable --quiet {unit}"
            for unit in (*resolvers, "radvd", *dhcp, "haproxy", "nfdump", "ulogd2", "suricata")
        ]
        self.assertEqual(done.stdout.splitlines()[1:], [*disabled, "said"])

    def test_backports_give_what_debian_has_not_and_leave_no_trace(self) -> None:
        """Of this machine's mirror, and no more than the package and its library."""
        script = """export TMPDIR=$A
missing_packages() { echo "$@"; }
without_services() { "$@"; }
apt-get() {
    case "$*" in
        *"$(printf '%s' '$(REPO_URI)')"*) echo "https://example.org/debian/ bookworm" ;;
        *--simulate*) [ "$B" = whole ] ;;
        *" install "*) printf '%s\n' "${@: -1}" "$@" | grep -E '^suri|^Dir::' >&2; cat "$A"/*/[ps]* >&2 || true ;;
    esac
}
need_suricata; ls "$A" """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        done = run(script, A=str(folder), B="")
        told = done.stderr
        self.assertIn("suricata\n", told)
        for name in ("SourceList", "Preferences", "Lists"):
            self.assertRegex(told, f"Dir::[A-Za-z]+::{name}={folder}/")
        self.assertRegex(told, r"\] https://example\.org/debian/ [a-z]+-backports main\n")
        self.assertEqual(re.findall("(?:Package|Priority): (.*)", told)[-4:], ["suricata libhtp2", "990", "*", "-1"])
        self.assertEqual(done.stdout, "==> installing Debian packages: suricata\n")
        done = run(script, A=str(folder), B="whole")
        self.assertEqual(
            (done.stdout, done.stderr.splitlines()[0]), ("==> installing Debian packages: suricata\n", "suricata")
        )
        self.assertNotIn("Dir::", done.stderr)

    def test_package_is_unpacked_whole_or_not_at_all(self) -> None:
        """Once; one that has come by halves leaves nothing that would pass for it."""
        folder = Path(self.mktemp()).absolute()
        (folder / "made" / "DEBIAN").mkdir(parents=True)
        (folder / "made" / "program").touch()
        (folder / "made" / "DEBIAN" / "control").write_text(
            "Package: some\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: some\n"
        )
        script = """apt-get() { echo asked; dpkg-deb --build "$A/made" some_1_all.deb >/dev/null; $B; }
for _ in 1 2; do unpack_package some "$A/there"; echo $?; done; [ ! -d "$A/there" ] || ls "$A/there" """
        done = run(script, A=str(folder), B="truncate --size 100 some_1_all.deb")
        told = [line for line in done.stdout.splitlines() if not line.startswith("==>")]
        self.assertEqual(told[0::2], ["asked", "asked"], done.stderr)
        self.assertNotIn("0", told)
        done = run(script, A=str(folder), B="true")
        told = [line for line in done.stdout.splitlines() if not line.startswith("==>")]
        self.assertEqual(told, ["asked", "0", "0", "program"], done.stderr)


class CageTests(SynchronousTestCase):
    """Mounts and processes of its own."""

    skip = NO_CHECKOUT or requirements.missing_for_testbed()

    def test_status_and_mounts_are_its_own(self) -> None:
        """What is mounted there is not seen here, and the status comes through."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        script = 'bare_caged sh -c \'mount -t tmpfs none "$A" && : >"$A/there" && [ $$ = 1 ] && exit 7\'; echo $?'
        done = run(script, A=str(folder))
        self.assertEqual((done.stdout, list(folder.iterdir())), ("7\n", []), done.stderr)

    def test_devices_can_be_used_and_not_changed(self) -> None:
        """They are the machine's: a mode given to them there would be theirs here."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        script = 'bare_caged bash -c "$B"'
        # Should it be possible, they are given what they have.
        inner = (
            'bare_devices "$A"; echo gone >"$A/null" && echo used; chmod --reference="$A/null" "$A/null" || echo kept'
        )
        done = run(script, A=str(folder), B=SOURCED + inner)
        self.assertEqual(done.stdout.split(), ["used", "kept"], done.stderr)
        self.assertIn("Read-only", done.stderr)

    def test_everybody_in_it_ends_with_the_program(self) -> None:
        """Whether that is killed or asked to end; what was begun is removed when it was asked."""
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            folder = Path(self.mktemp()).absolute()
            folder.mkdir()
            # The pipe is open as long as anybody lives who has it.
            reading, writing = os.pipe()
            script = """BARE=$A; trap bare_clean EXIT; trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
bare_begin; bare_caged sh -c 'trap "" INT TERM HUP; sleep 600 & setsid sleep 600 & echo here; wait'"""
            # Whoever runs these tests may be deaf to some (nohup); a shell can not hear what it is born deaf to.
            hearing = ["env", "--default-signal=HUP,INT,TERM"]
            program = subprocess.Popen(
                [*hearing, "bash", "-c", SOURCED + script, "check"], env={**os.environ, "A": str(folder)},
                stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            os.close(writing)
            self.addCleanup(os.close, reading)
            self.addCleanup(program.wait)
            self.addCleanup(program.kill)
            self.assertEqual(os.read(reading, 10), b"here\n")
            program.send_signal(number)
            self.assertTrue(select.select([reading], [], [], PATIENCE)[0], f"somebody survives {number.name}")
            self.assertEqual(os.read(reading, 10), b"")
            status = program.wait(PATIENCE)
            self.assertEqual(status, -number if number == signal.SIGKILL else 128 + number)
            left = [path.name for path in folder.glob("run.*")]
            self.assertEqual(len(left), 1 if number == signal.SIGKILL else 0)
            self.assertEqual(run("BARE=$A; bare_sweep", A=str(folder)).stderr, "")
            self.assertEqual(list(folder.glob("run.*")), [])

    def test_folder_of_a_run_that_goes_on_is_not_swept(self) -> None:
        """Two may run at once."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        done = run('BARE=$A; bare_begin; bash -c "$B"; ls -d "$A"/run.*', A=str(folder),
                   B=SOURCED + 'BARE=$A; bare_sweep')  # fmt: skip
        self.assertRegex(done.stdout, r"^/.*/run\.\w+\n$", done.stderr)

    def test_folder_with_mounts_is_not_removed(self) -> None:
        """Since what is mounted there would be: a blank in its name does not hide it."""
        folder = Path(self.mktemp() + " with a blank").absolute()
        (folder / "inner").mkdir(parents=True)
        (folder / "file").touch()
        script = 'bare_caged bash -c "$B"; echo $?'
        inner = SOURCED + 'mount -t tmpfs none "$A/inner" && bare_delete "$A"'
        done = run(script, A=str(folder), B=inner)
        self.assertEqual(done.stdout.splitlines()[-1], "1", done.stderr)
        self.assertIn("has mounts", done.stdout)
        self.assertTrue((folder / "file").exists())
        run('bare_delete "$A"', A=str(folder))
        self.assertFalse(folder.exists())
