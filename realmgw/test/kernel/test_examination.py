"""What `realmgw check` says on the gateway itself, and a start of the same: they agree."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from realmgw import config
from realmgw.admission.client import KernelPacketQueue
from realmgw.config.settings import Admission
from realmgw.config.steps import Blocking, now
from realmgw.control.examination import examine
from realmgw.datapath.place import Place
from realmgw.system import privileges
from realmgw.test.kernel.starting_case import LAN, SETTINGS, WAN, StartingTestCase

NOBODY = 65534
AS_NOBODY = f"""
import os, sys
from realmgw.control.command import cli, local
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.exit(cli.main(sys.argv[4:]))
"""
"""Begins as root: nobody need not be able to read this checkout. Behind it come `python -m MODULE`, and arguments."""


class AgreementTests(StartingTestCase):
    """`check` refuses what a start refuses, in the same words."""

    def check(self, **options: Any) -> tuple[int, str]:
        """The status of `realmgw check`, and what it says."""
        ended = self.run_program("realmgw", "check", "--config", str(self.main), **options)
        return ended.status, ended.told

    def assert_refused(self, *said: str, settings: Mapping[str, Any] | None = None) -> None:
        """Both say these words."""
        self.write(settings)
        written = config.load(self.main)
        for told in (examine(written, now).refused, examine(written, now, starting=True).refused):
            for each in said:
                self.assertIn(each, "\n".join(told))

    def assert_ends(self, said: str, **options: Any) -> None:
        """Both processes end with status 1 and these words, without a traceback."""
        for status, told in (self.check(**options), self.started(**options)):
            self.assertEqual((status, "Traceback" in told), (1, False), told)
            self.assertIn(said, told)

    def started(self, **options: Any) -> tuple[int, str]:
        """The status of a start that is refused, and what it says."""
        ended = self.ended(self.twistd(**options))
        return ended.status, ended.told

    def dns(self, **more: Any) -> dict[str, Any]:
        """Settings of DNS with more keys."""
        return {"dns": {**SETTINGS["dns"], **more}}

    def test_all_is_well(self) -> None:
        """Then both say so, before the gateway runs and while it does."""
        self.assertEqual(self.check()[0], 0)
        self.start()
        status, told = self.check()
        self.assertEqual((status, told.splitlines()[-1]), (0, "No problems."), told)

    def test_interface_that_is_misspelt(self) -> None:
        """Those that there are are named."""
        self.assert_refused(
            "interfaces.wan: there is no interface wann0 (there are lan0, lan1, lo, wan0, wan1)",
            "interfaces.lan: there is no interface lna0",
            settings={"interfaces": {"wan": "wann0", "lan": ["lna0"]}},
        )

    def test_address_that_dns_listens_at_and_nobody_has(self) -> None:
        """By UDP and by TCP."""
        subprocess.run(["ip", "address", "del", f"{WAN}/24", "dev", "wan0"], check=True)
        self.assert_refused(f"UDP {WAN} port 53: no interface of this machine has that address", f"TCP {WAN}")
        self.assert_ends(f"UDP {WAN} port 53: no interface of this machine has that address")

    def test_port_that_another_program_has(self) -> None:
        """One of both transports suffices; a wildcard counts."""
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 53))
            taken.listen()
            self.assert_refused(f"TCP {WAN} port 53: another program has it", f"TCP {LAN} port 53")

    def test_portal_that_can_not_be_served(self) -> None:
        """Its port is somebody else's, its certificate is not there; and one that can be is no problem."""
        settings = {"datapath": {"unknown_hosts": "guest"}, "portal": {"listen": [LAN]}}
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 80))
            taken.listen()
            said = f"the portal can not listen on TCP {LAN} port 80: another program has it"
            self.assert_refused(said, settings=settings)
            self.assert_ends(said)
        tls = {"listen": [LAN], "name": "portal.example.org", "certificate_file": "a", "key_file": "b"}
        said = f"portal.tls: {self.folder}/a with {self.folder}/b can not be used for TLS: No such file"
        self.assert_refused(said, settings={**settings, "portal": {"listen": [LAN], "tls": tls}})
        self.assert_ends(said)
        self.write(settings)
        self.start()
        self.assertEqual(self.check()[0], 0)

    def test_dashboard_that_can_not_be_served(self) -> None:
        """Its token is not there, or everybody's; its port or its path is somebody else's; its certificate is none."""
        dashboard: dict[str, Any] = {"listen": ["127.0.0.1"], "token_file": "token"}
        token = self.folder / "token"
        for mode, said in (
            (None, "can not be read as a token"),
            (0o644, f"everybody on this machine may read {token}"),
        ):
            if mode is not None:
                token.write_text("0123456789abcdef\n")
                token.chmod(mode)
            self.assert_refused(said, settings={"dashboard": dashboard})
            self.assert_ends("dashboard.token_file: ")
        token.chmod(0o600)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 12347))
            taken.listen()
            said = "the dashboard can not listen on TCP 127.0.0.1 port 12347: another program has it"
            self.assert_refused(said, settings={"dashboard": dashboard})
        own = {"control": {"socket": f"{self.folder}/c.sock"}, "dashboard": {"listen": [f"{self.folder}/c.sock"]}}
        self.assert_refused("dashboard.listen: ", "is another one of the gateway's: write another path", settings=own)
        tls = {"name": "gw.example.org", "certificate_file": "a", "key_file": "b"}
        said = f"dashboard.tls: {self.folder}/a with {self.folder}/b can not be used for TLS: No such file"
        self.assert_refused(said, settings={"dashboard": {**dashboard, "tls": tls}})

    def test_web_proxy_that_can_not_run(self) -> None:
        """It is told by both, and stops neither: everything else is served."""
        pools = {**SETTINGS["pools"], "service": [WAN]}
        usual = {"enabled": True, "program": sys.executable, "user": "nobody"}
        for how, said in (
            ({"program": "/nowhere/haproxy"}, "there is no program /nowhere/haproxy: apt install haproxy"),
            ({"user": "no-such-user"}, "'no-such-user' is no user, or is root"),
            ({"user": "root"}, "'root' is no user, or is root"),
        ):
            word = next(iter(how))
            self.write({"pools": pools, "webproxy": {**usual, **how}})
            written = config.load(self.main)
            for starting in (False, True):
                found = examine(written, now, starting=starting)
                self.assertEqual((found.refused, [said in each for each in found.wrong]), ([], [True]), found)
            text = self.main.read_text()
            column = text.index(f'"{word}"', text.index('"webproxy"')) + 1
            self.assertIn(f"{self.main}:1:{column}: webproxy.{word}: ", self.check()[1])
        self.write({"pools": pools, "webproxy": usual})
        self.assertEqual(examine(config.load(self.main), now).wrong, [])
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.write({"pools": pools, "webproxy": {**usual, "connections": limits[1]}})
        told = [] if privileges.held() >> 24 & 1 else [True]  # CAP_SYS_RESOURCE
        found = examine(config.load(self.main), now)
        self.assertEqual(["webproxy.connections" in each for each in found.wrong], told, found.wrong)
        self.write({"pools": pools, "webproxy": usual})
        with socket.socket() as taken:
            taken.bind((WAN, 443))
            taken.listen()
            found = examine(config.load(self.main), now)
            said = f"the web proxy can not listen on TCP {WAN} port 443: another program has it"
            self.assertEqual((found.refused, [said in each for each in found.wrong]), ([], [True]))

    def test_alerts_that_can_not_come(self) -> None:
        """A port that is somebody else's, a socket that is the control socket, a group that is not there."""
        with socket.socket(type=socket.SOCK_DGRAM) as taken:
            taken.bind((LAN, 12346))
            said = f"alerts.udp: alerts can not listen on UDP {LAN} port 12346: another program has it"
            self.assert_refused(said, settings={"alerts": {"udp": LAN, "senders": [LAN]}})
            self.assert_ends(said)
        control = str(config.load(self.main).control.socket)
        self.assert_refused("is another one of the gateway's", settings={"alerts": {"socket": control}})
        self.assert_refused(
            "alerts.group: there is no group no_such", settings={"alerts": {"socket": "a.sock", "group": "no_such"}}
        )
        self.write({"alerts": {"socket": "a.sock", "udp": LAN, "senders": [LAN], "file": "eve.json"}})
        self.assertIn("eve.json is not there", "\n".join(examine(config.load(self.main), now).wrong))
        self.start()

    def test_records_that_can_not_be_written(self) -> None:
        """A gateway starts without them, and says so; `check` does before."""
        (self.folder / "taken").write_text("")
        for file, said in (("taken/flows.jsonl", "taken is no folder"), ("/proc/flows.jsonl", "no files can be made")):
            self.write({"flow_records": {"enabled": True, "file": file}})
            found = examine(config.load(self.main), now)
            self.assertEqual(found.refused, [])
            self.assertRegex("\n".join(found.wrong), rf"flow_records\.file: .*{said}")

    def test_a_start_does_not_wait_for_what_it_can_do_without(self) -> None:
        """Files of others on a disk that does not answer: it is told, and whoever needs them waits for them."""
        disk = self.main.parent / "disk"
        settings = {
            "alerts": {"file": f"{disk}/eve.json"},
            "repository": {"url": "http://192.0.2.9", "token_file": f"{disk}/token"},
            "flow_records": {"enabled": True, "file": f"{disk}/flows.jsonl"},
        }

        def answers(blocking: Blocking) -> Any:
            self.assertNotIn("disk", blocking.where, "a start would wait for it")
            return blocking.call()

        def hasty(blocking: Blocking) -> Any:
            raise OSError(errno.ETIMEDOUT, f"{blocking.where} has not answered")

        self.write(settings)
        found = examine(config.load(self.main), answers, hasty, starting=True)
        self.assertEqual(found.refused, [])
        for key, file in (("alerts.file", "eve.json"), ("repository.token_file", "token")):
            self.assertIn(f"{key}: {disk}/{file} has not answered", found.wrong)
        self.assertIn(f"flow_records.file: {disk} has not answered", found.wrong)

    def test_packet_queue_that_another_program_has(self) -> None:
        """A start finds it before it touches the kernel; a gateway's own queue is nobody else's."""
        before = self.rules()
        taken = KernelPacketQueue()
        taken.bind(Admission(queue=7), lambda _: 0)
        self.addCleanup(taken.close)
        self.write({"admission": {"queue": 7}})
        self.assert_ends("admission.queue: another program has packet queue 7")
        self.assertEqual(self.rules(), before)
        self.write()
        self.start()
        self.assertEqual(self.check()[0], 0)

    def test_secrets_that_are_not_there(self) -> None:
        """Or too short."""
        settings = self.dns(cookies={"secret_file": "secrets"})
        self.assert_refused("dns.cookies.secret_file: ", "No such file", settings=settings)
        (self.folder / "secrets").write_text("0123\n")
        self.assert_refused("line 1: a secret is 32 hexadecimal digits", settings=settings)

    def test_lists_of_names_that_can_not_be_used(self) -> None:
        """With file and line."""
        settings = self.dns(forward={"lists": [{"name": "ads", "file": "ads.hosts"}]})
        self.assert_refused("ads.hosts can not be read: No such file", settings=settings)
        (self.folder / "ads.hosts").write_text("ads.example.net\n||tracker.example.net^\n")
        self.assert_refused("ads.hosts:2:1: '||tracker.example.net^' is no domain name", settings=settings)

    def test_certificates_that_are_not_there(self) -> None:
        """The repository's."""
        repository = {"url": "https://192.0.2.9", "ca_file": "ca.pem"}
        self.assert_refused("ca.pem can not be read as certificates: No such", settings={"repository": repository})

    def test_group_that_is_not_there(self) -> None:
        """With what to do."""
        control = {"socket": "control.sock", "group": "nobody-has-this"}
        self.assert_refused("control.group: there is no group nobody-has-this", settings={"control": control})

    def test_group_that_the_gateway_is_not_in(self) -> None:
        """It can not give its socket to that; where it seems to run as somebody else, it is told of him."""
        control = {"socket": "control.sock", "group": "daemon"}
        self.write({"control": control, "state": "kept"})
        (kept := self.folder / "kept").mkdir(exist_ok=True)
        self.assertEqual(examine(config.load(self.main), now).refused, [])
        os.chown(kept, NOBODY, NOBODY)
        told = "\n".join(examine(config.load(self.main), now).unseen)
        self.assertIn(f"control.group: {kept} is user {NOBODY}'s: if the gateway runs as that, it will not start", told)

    def test_socket_that_can_not_be_made(self) -> None:
        """Its path is too long, something else is there, or its folder is none."""
        self.assert_refused("octets: write one of at most 107", settings={"control": {"socket": "x" * 108}})
        self.assert_refused("is no socket: remove it", settings={"control": {"socket": "realmgw.yaml"}})
        self.assert_refused("is no folder", settings={"control": {"socket": "realmgw.yaml/control.sock"}})
        self.assert_refused("no files can be made in /proc", settings={"control": {"socket": "/proc/nope/c.sock"}})

    def test_places_for_metrics_that_can_not_be_had(self) -> None:
        """A port or a socket that somebody else has, an address that is not here, a group that there is not."""
        taken = socket.create_server((LAN, 9100))
        self.addCleanup(taken.close)
        for listen, said in (
            (f"{LAN}:9100", f"the metrics can not listen on TCP {LAN} port 9100: another program has it"),
            ("192.0.2.200", "the metrics can not listen on TCP 192.0.2.200 port 12346: no interface"),
            (f"{self.folder}/realmgw.yaml", "metrics.listen: "),
            (f"{self.folder}/{'x' * 108}", "metrics.listen: "),
            (f"{self.folder}/control.sock", "is another one of the gateway's: write another path"),
            (f"{self.folder}/../{self.folder.name}/control.sock", "is another one of the gateway's"),
        ):
            clients = {} if "/" in listen else {"clients": [LAN]}
            settings = {"control": {"socket": "control.sock"}, "metrics": {"listen": [listen], **clients}}
            self.assert_refused(said, settings=settings)
        metrics = {"listen": [f"{self.folder}/m.sock"], "group": "nobody-has-this"}
        self.assert_refused("metrics.group: there is no group nobody-has-this", settings={"metrics": metrics})

    def test_socket_in_a_folder_of_strangers(self) -> None:
        """They could lock it before us, or answer in our place; above it, the sticky bit keeps them away."""
        open_, own = self.folder / "open", {"control": {"socket": "open/control.sock"}}
        for mode in (0o777, 0o1777, 0o757):
            open_.mkdir(exist_ok=True)
            open_.chmod(mode)
            self.assert_refused(f"control.socket: everybody may write in {open_}", settings=own)
        open_.chmod(0o755)
        os.chown(open_, NOBODY, NOBODY)
        self.write(own)
        self.assertIn(f"{open_} is user {NOBODY}'s", self.check()[1])
        self.assertIn(f"{open_} is user {NOBODY}'s", self.started()[1])
        os.chown(open_, 0, 0)
        open_.chmod(0o1777)
        self.write({"control": {"socket": "open/new/control.sock"}})
        self.start()

    def test_state_that_can_not_be_kept(self) -> None:
        """A start goes on without it; both say so."""
        self.write({"state": "/proc/nope"})
        said = "state: no files can be made in /proc: No such file or directory: nothing can be kept there"
        self.assertIn(said, examine(config.load(self.main), now).wrong)
        self.assertIn(said, self.check()[1])

    def test_another_gateway_in_the_same_namespace(self) -> None:
        """With a table of its own: it would lose its routes."""
        other = Place("other")
        other.take()
        self.addCleanup(other.release)
        self.assert_refused("another gateway runs here, with the table other")

    def test_router_in_the_pool(self) -> None:
        """We would answer ARP in its place."""
        subprocess.run(["ip", "route", "add", "default", "via", "192.0.2.4"], check=True)
        self.assert_refused("holds 192.0.2.4, the router that our default route goes by")

    def test_loopback_is_no_side(self) -> None:
        """It leads nowhere."""
        self.write({"interfaces": {"wan": "wan0", "lan": ["lo"]}})
        self.assert_ends("lo leads nowhere but to this machine itself")

    def test_too_few_open_files(self) -> None:
        """The numbers are told; the soft limit alone is raised."""
        self.assert_ends("and this process may open 64: raise its limit", preexec_fn=_limit(64, 64))
        self.start(preexec_fn=_limit(64, 4096))

    def test_what_is_not_as_it_should_be_and_stops_nobody(self) -> None:
        """A token that is not there yet, or that everybody may read: `check` says it, a start goes on."""
        self.write({"repository": {"url": "http://127.0.0.1:9", "token_file": "token"}})
        self.assertIn("repository.token_file: ", self.check()[1])
        (self.folder / "token").symlink_to("/dev/null")
        self.assertNotIn("everybody on this machine may read", self.check()[1])  # what is no file is told as that alone
        (self.folder / "token").unlink()
        (self.folder / "token").write_text("x" * 20)
        (self.folder / "token").chmod(0o644)
        status, told = self.check()
        self.assertEqual(status, 1)
        self.assertIn("everybody on this machine may read", told)
        self.start()

    def test_another_user_is_told_what_could_not_be_looked_at(self) -> None:
        """The rest is checked, and is well."""
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        self.folder.chmod(0o755)
        status, told = self.check(before=(sys.executable, "-c", AS_NOBODY))
        self.assertEqual(status, 0, told)
        self.assertIn("Not looked at: the kernel, and ports below 1024", told)

    def test_other_machine_is_told_what_could_not_be_looked_at(self) -> None:
        """It has neither interfaces nor addresses of the gateway."""
        for link in ("wan0", "lan0"):
            subprocess.run(["ip", "link", "del", link], check=True)
        status, told = self.check()
        self.assertEqual(status, 0, told)
        self.assertIn("this machine is not the gateway", told)

    def test_hosts_at_addresses_that_no_host_can_have(self) -> None:
        """Each is told with its place, by `check` and by a start, and the others are served."""
        subprocess.run(["ip", "route", "add", "default", "via", "192.0.2.254"], check=True)
        wrong = ("127.0.0.1", "8.8.8.8", "192.168.0.255", "192.168.0.0", "192.0.2.254", LAN, WAN, "240.0.0.1")
        for number, address in enumerate(wrong):
            self.subscriber(f"wrong{number}.example.org", address)
        status, told = self.check()
        self.assertEqual((status, told.splitlines()[-1]), (1, f"{len(wrong)} problems."), told)
        for number, address in enumerate(wrong):
            self.assertRegex(
                told, rf"wrong{number}.example.org.yaml:1:\d+: (wrong{number}.example.org.: )?'?{address}'? "
            )
        self.start()
        self.assertEqual((self.status()["hosts"], len(self.status()["problems"])), (1, len(wrong)))
        added = self.run_program(
            "realmgw", "subscribers", "add", "a.example.org", "--address", "192.168.0.255", "--config", str(self.main)
        )
        self.assertEqual((added.status, "stands for the network" in added.told), (1, True), added.told)

    def test_check_leaves_nothing_behind(self) -> None:
        """Neither rules nor files."""
        before = (self.rules(), sorted(self.folder.rglob("*")))
        self.check()
        self.assertEqual((self.rules(), sorted(self.folder.rglob("*"))), before)

    def rules(self) -> str:
        """What the kernel has."""
        found = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
        chains = subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout
        return found + "".join(line for line in chains.splitlines(keepends=True) if not line.startswith("#"))


def _limit(soft: int, hard: int) -> Any:
    """Sets how many files a process may open."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
