"""`./testbed/demo`: what a realm gateway does, shown to a person in namespaces of one machine, with nothing faked.

Every command is shown as it is run; every claim is checked. The exit status tells whether all of them were true.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from realmgw.config.dashboard import DASHBOARD_PORT
from testbed.player import visits
from testbed.player.visits import Visit, percentile
from testbed.programs import demo_flood, onlooker
from testbed.programs.commands import Download, dig, gateway_command, inside, operator, program, python_client
from testbed.programs.demo6 import SETTINGS, DualStack
from testbed.programs.doorway import open_door
from testbed.programs.narration import Narration
from testbed.realm import host, sctp, topology
from testbed.realm.gateway import ON_LINK_POOL, ORDERLY, ROUTED_POOL6, Gateway, Subscriber
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, ON_LINK, Testbed, TestbedError

NAMES = 20
"""So many private hosts, each with a name of its own."""
FLOWS, RATE = 200, 100.0
"""The many flows, and how many of them begin in a second."""
SHORT, LONG = 2_000_000, 3_500_000
"""Sizes in octets of downloads that outlive their gateway."""
SHOWN = 3
"""Flows to so many names are looked for on the gateway's page."""
CLAIM_LIFETIME = 2.0  # seconds
"""So long after a query its client may still come: a stray is one that comes later."""
OPERATORS = (
    ("status",), ("pool",), ("reservations",), ("reputation", "list"), ("subscribers", "show", "test.gwa.demo"),
    ("explain", "name", "test.gwa.demo", "--resolver", "100.64.3.10"), ("plan",), ("check",),
)  # fmt: skip
"""What an operator may want to know."""
TEST = "test.gwa.demo"
"""The name that most steps ask for; its host is the first one."""


class Demo:
    """The testbed, the gateway in it, and the steps."""

    def __init__(self, testbed: Testbed, tell: Narration) -> None:
        """Writes the gateway's configuration; starts nothing.

        Args:
            testbed: A running testbed with `NAMES` hosts and two clients.
            tell: Where to say it.
        """
        self.testbed = testbed
        self.tell = tell
        self.hosts = dict(zip(names(), testbed.hosts, strict=True))
        self.gateway = Gateway(
            testbed,
            [
                Subscriber(name + ".", address, address6=second)
                for (name, address), second in zip(self.hosts.items(), testbed.hosts6, strict=True)
            ],
            circular=[ON_LINK_POOL, ROUTED_POOL6],  # three addresses of IPv4 for everything that follows
            settings={**SETTINGS, "dashboard": self.dashboard()},
        )
        self.six = DualStack(testbed, tell, TEST)
        self.stranger = testbed.clients[1]
        self.download = Download(testbed, tell, self.hosts[TEST], "the download")

    def dashboard(self) -> dict[str, object]:
        """The gateway's page for operators, with a token of its own."""
        token = self.testbed.folder / "dashboard.token"
        token.touch(0o600)
        token.write_text(f"{secrets.token_hex(16)}\n")
        return {"listen": [str(self.testbed.folder / "dashboard.sock")], "token_file": str(token)}

    def invite(self) -> str:
        """Opens that page to this machine's browsers, has clients come for an hour, and returns its address."""
        folder = self.testbed.folder
        port = open_door(self.testbed, "gwa", DASHBOARD_PORT, str(folder / "dashboard.sock"))
        coming = [f"{name}={address}" for name, address in self.hosts.items()]
        self.testbed.spawn("public", [sys.executable, "-m", "testbed.programs.visitors", *coming], log="visitors.log")
        return f"http://127.0.0.1:{port}/#{(folder / 'dashboard.token').read_text().strip()}"

    def look(self, address: str) -> None:
        """Opens that page, as a browser does."""
        shown = onlooker.names_shown(address, SHOWN)
        told = ", ".join(sorted(shown))
        self.tell.claim("its page for operators shows the clients' flows", len(shown) >= SHOWN, f"to {told}")

    def run(self) -> None:
        """All steps."""
        self.start()
        self.resolve()
        self.open_flows()
        self.take_turns()
        self.serve_many()
        self.refuse_strays()
        self.six.run()
        self.survive_kill()
        self.survive_stop()
        self.purge()

    def start(self) -> None:
        """The gateway starts."""
        self.tell.step("The gateway starts, by twistd, with three pool addresses for twenty private hosts")
        self.tell.seen((self.testbed.folder / "realmgw.yaml").read_text())
        self.tell.command(gateway_command(self.gateway))
        took = self.gateway.start()
        self.tell.claim("it answers queries", True, f"{took:.1f} s after its start, process {self.gateway.pid}")

    def resolve(self) -> None:
        """A public client asks for a private host's name, and a private host does."""
        self.tell.step(f"A public client resolves {TEST}; a host of the realm does")
        answer = dig(self.tell, "public", GATEWAY, TEST)
        fields = answer.split()
        self.tell.claim("the answer is an address of the pool", fields[-1:] != [] and fields[-1] in ON_LINK)
        self.tell.claim("with a TTL of 0: it is lent for this one flow", fields[1:2] == ["0"])
        private = dig(self.tell, "test_gwa", GATEWAY_LAN, TEST).split()
        self.tell.claim("inside, the same name has its private address", private[-1:] == [self.hosts[TEST]])

    def open_flows(self) -> None:
        """TCP, UDP, ICMP and SCTP to the address that the name was answered with."""
        self.tell.step("It opens TCP, UDP, ICMP and SCTP to the address that it is given")
        us = self.hosts[TEST]
        page = self.tell.type(*inside("public"), "curl", "--silent", "--max-time", "2", f"http://{self.ask()}/")
        self.tell.claim("TCP: an HTTP page of the private host", us in page.stdout)
        burst = self.tell.type(*self.flow("udp", "2000", "--burst", "3"))
        self.tell.claim("UDP: three datagrams back to back, three echoes", burst.stdout.count(us) == 3)
        ping = self.tell.type(*inside("public"), "ping", "-c", "1", "-W", "2", self.ask())
        who = self.tell.type(*self.flow("icmp"))
        self.tell.claim("ICMP: an echo, and of the private host", ping.returncode == 0 and us in who.stdout)
        if not kernel_has_sctp():
            self.tell.remark(
                "SCTP: this kernel has no SCTP sockets (CONFIG_IP_SCTP), at either end; the gateway needs none.\n"
                "So both ends speak it over raw sockets: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK (RFC 9260)."
            )
        association = self.tell.type(*self.flow("sctp", "2000"))
        self.tell.claim("SCTP: an association with the private host", us in association.stdout)

    def take_turns(self) -> None:
        """Two hosts are served by one address, one after the other."""
        self.tell.step("One address serves one host after the other")
        served: dict[str, list[str]] = {}
        right = True
        for name in names()[1 : len(ON_LINK) + 2]:
            page = self.tell.type(
                *inside("public"), "curl", "-4", "--silent", "--write-out", "at %{remote_ip}\\n", f"http://{name}/"
            )
            served.setdefault(page.stdout.rpartition("at ")[2].strip(), []).append(self.hosts[name])
            right &= f"This is {self.hosts[name]}." in page.stdout
        self.tell.claim("each name's own host answered", right)
        shared = [f"{address}: {', then '.join(hosts)}" for address, hosts in served.items() if len(hosts) > 1]
        self.tell.claim("an address served two hosts in turn", right and bool(shared), "; ".join(shared))

    def serve_many(self) -> None:
        """Many flows to many names through few addresses."""
        self.tell.step(f"{FLOWS} flows to {NAMES} names through {len(ON_LINK)} addresses, {RATE:.0f} begun per second")

        def progress(done: Sequence[Visit]) -> None:
            wrong = sum(not each.succeeded for each in done)
            self.tell.progress(f"{'#' * (40 * len(done) // FLOWS):40} {len(done)}/{FLOWS}, {wrong} failed")

        with self.testbed.inside("public"):
            done = asyncio.run(visits.visit_many(self.hosts, FLOWS, RATE, progress))
        self.tell.end_progress(f"{len(done)} flows, {sum(each.succeeded for each in done)} of them succeeded")
        self.tell.seen(table(done))
        self.tell.claim("every flow reached its host", all(each.succeeded for each in done), faults(done))
        self.tell.claim("none reached another one", not any(each.mis_delivered for each in done))
        self.tell.claim("three addresses were enough", {each.address for each in done} <= set(ON_LINK))

    def refuse_strays(self) -> None:
        """Packets that nobody announced are refused, each as its protocol does it."""
        self.tell.step("Packets that nobody announced by a query are refused, and told so")
        self.tell.remark(f"Another client, {self.stranger}, {CLAIM_LIFETIME:.0f} s later: nobody is expected any more.")
        time.sleep(CLAIM_LIFETIME + 0.1)
        for protocol, error, unreachables, how in (
            ("tcp", errno.ECONNREFUSED, 0, "TCP RST"),
            ("udp", errno.ECONNREFUSED, 1, "ICMP port unreachable"),
            ("icmp", errno.EHOSTUNREACH, 1, "ICMP administratively prohibited"),
            ("sctp", errno.ENOPROTOOPT, 1, "ICMP protocol unreachable"),
        ):
            before = self.unreachables()
            where = [ON_LINK[0]] if protocol == "icmp" else [ON_LINK[0], "2000"]
            seen = self.tell.type(*python_client(protocol, *where, "--source", self.stranger))
            told = self.unreachables() - before
            refused = f"[Errno {int(error)}]" in seen.stdout and told == unreachables
            self.tell.claim(f"{protocol.upper()} is refused by {how}", refused, f"ICMP errors received: {told}")

    def unreachables(self) -> int:
        """How many ICMP destination-unreachable messages the clients have received."""
        with self.testbed.inside("public"):
            lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        fields, values = (line.split() for line in lines if line.startswith("Icmp:"))
        return int(values[fields.index("InDestUnreachs")])

    def survive_kill(self) -> None:
        """The gateway is killed while a download runs, and comes back."""
        self.tell.step("The gateway is killed (kill -9) while a download runs")
        by_ipv6 = self.six.download.running(self.six.ask(), SHORT)
        with self.download.running(self.ask(), SHORT) as download, by_ipv6 as second:
            time.sleep(0.4)
            self.tell.command(f"kill -9 {self.gateway.pid}")
            self.gateway.kill()
            running = (download.poll(), second.poll()) == (None, None)
            self.tell.claim("the gateway is gone, the downloads run, by IPv4 and by IPv6", running)
            self.find_closed()
            self.six.find_closed()
            self.download.finish(download, SHORT)
            self.six.download.finish(second, SHORT)
        self.restart("a restart serves again")

    def survive_stop(self) -> None:
        """The gateway is stopped while a download runs, and is back before its end."""
        self.tell.step("The gateway is stopped and started again while a download runs")
        with self.download.running(self.ask(), LONG) as download:
            time.sleep(0.4)
            self.tell.command(f"kill -TERM {self.gateway.pid}")
            status = self.gateway.stop()
            self.tell.claim("it stops in order", status == ORDERLY, f"exit status {status}")
            begun = self.download.file.stat().st_size
            self.find_closed()
            self.restart("a restart serves again")
            # It may have come to its end meanwhile: a busy machine starts a gateway slowly.
            more = self.download.file.stat().st_size - begun
            self.tell.claim("the download went on meanwhile", more > 0, f"{more} octets")
            self.download.finish(download, LONG)

    def find_closed(self) -> None:
        """Without a gateway there is no answer, and no new flow."""
        query = self.tell.type(*inside("public"), "dig", "+time=1", "+tries=1", "+short", f"@{GATEWAY}", TEST)
        self.tell.claim("no query is answered", query.returncode != 0)
        argv = [*inside("public"), "curl", "--silent", "--show-error", "--max-time", "0.5", f"http://{ON_LINK[0]}/"]
        self.tell.claim("no new flow passes", self.tell.type(*argv).returncode != 0)

    def restart(self, claim: str) -> None:
        """The gateway starts again and serves."""
        self.tell.command(gateway_command(self.gateway))
        took = self.gateway.start()
        page = self.tell.type(*inside("public"), "curl", "-4", "--silent", "--max-time", "2", f"http://{TEST}/")
        self.tell.claim(claim, self.hosts[TEST] in page.stdout, f"after {took:.1f} s")

    def purge(self) -> None:
        """The gateway takes everything away that it put into the kernel."""
        self.tell.step("A gateway started with --purge leaves nothing in the kernel when it stops")
        self.gateway.stop()
        self.tell.type(*inside("gwa"), "nft", "list", "tables")
        self.tell.command(gateway_command(self.gateway, "--purge"))
        self.gateway.start("--purge")
        self.tell.command(f"kill -TERM {self.gateway.pid}")
        self.gateway.stop()
        left = self.testbed.run("gwa", ["nft", "list", "ruleset"])
        self.tell.type(*inside("gwa"), "nft", "list", "tables")
        self.tell.claim("no rule of ours is left", left.returncode == 0 and "realmgw" not in left.stdout)
        routes = self.tell.type(*inside("gwa"), "ip", "route", "show", "table", "all", "type", "local")
        self.tell.claim("no pool address is ours any more", not any(each in routes.stdout for each in ON_LINK))

    def ask(self) -> str:
        """Asks for the name as `dig +short` does, which is shown, and returns the address."""
        answer = self.tell.type(*inside("public"), "dig", "+short", f"@{GATEWAY}", TEST)
        return answer.stdout.strip()

    def flow(self, protocol: str, *rest: str) -> list[str]:
        """The command that opens a flow to the name's address, which is asked for first."""
        return python_client(protocol, self.ask(), *rest)


def names() -> list[str]:
    """The names, in the order of the hosts' addresses."""
    return [TEST, *(f"h{number}.gwa.demo" for number in range(101, 100 + NAMES))]


def kernel_has_sctp() -> bool:
    """Whether this kernel offers SCTP sockets."""
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, sctp.PROTOCOL).close()
        return True
    return False


def table(done: Sequence[Visit]) -> str:
    """What became of the flows."""
    rows = [f"{'':22}{'p50':>9}{'p90':>9}{'p99':>9}"]
    succeeded = [each for each in done if each.succeeded]
    for title, values in (
        ("resolve", [each.resolve for each in succeeded]),
        ("resolve + HTTP page", [each.total for each in succeeded]),
    ):
        cells = "".join(f"{1000 * percentile(values, share):>6.1f} ms" for share in (0.5, 0.9, 0.99))
        rows.append(f"{title:22}{cells}")
    rows.append(f"{'succeeded':22}{len(succeeded):>6} of {len(done)}")
    rows.append(f"{'mis-delivered':22}{sum(each.mis_delivered for each in done):>6}")
    return "\n".join(rows)


def faults(done: Sequence[Visit]) -> str:
    """The first few faults, for one line."""
    return "; ".join(f"{each.name}: {each.fault}" for each in done if each.fault)[:200]


def hints(demo: Demo, dashboard: str) -> str:
    """What a person can do with a testbed that was kept; every command works as it stands here.

    Args:
        demo: It.
        dashboard: The address of the gateway's page for operators.
    """
    public, gateway = " ".join(inside("public")), " ".join(inside("gwa"))
    udp = f"{public} {program('python')} -m testbed.realm.client udp"
    return "\n".join(
        (
            "The testbed and the gateway are left running, and clients go on coming for an hour.",
            "The page for operators, for a browser on this machine:",
            f"  {dashboard}",
            "In the checkout, as root:",
            f"  {public} dig {TEST}",
            f"  {public} curl http://h105.gwa.demo/",
            f"  {udp} $({public} dig +short h107.gwa.demo) 2000 --burst 3",
            f"  {' '.join(inside('test_gwa'))} dig {TEST}",
            "Ask the gateway about itself:",
            *(f"  {operator(demo.gateway, *words)}" for words in OPERATORS),
            "Look into the kernel, and into the log:",
            f"  {gateway} nft list table inet realmgw",
            f"  {gateway} conntrack -L",
            f"  tail -f {demo.gateway.log}",
            "Kill the gateway, and start it again:",
            f"  kill -9 {demo.gateway.pid}",
            f"  {gateway_command(demo.gateway)}",
            "Remove it all again:  ./testbed/demo --down",
        )
    )


def options(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./testbed/demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the testbed running, with a gateway in it")
    parser.add_argument("--down", action="store_true", help="take down a testbed that was left running, and end")
    return parser.parse_args(argv)


def show(tell: Narration, keep: bool) -> None:
    """Builds the testbed and shows everything."""
    tell.step("The testbed: four network namespaces on this machine")
    tell.remark("public 100.64.3.10 ── router ── 100.64.1.130 gwa 192.168.0.1 ── test_gwa 192.168.0.100 to .119")
    begin = time.monotonic()
    with Testbed(hosts=NAMES, clients=2, resolvers=True) as testbed:
        host.start(testbed)
        there = tell.type("ip", "netns", "list").stdout
        built = all(name in there for name in topology.NAMESPACES)
        tell.claim("it stands, and its hosts serve", built, f"after {time.monotonic() - begin:.1f} s")
        demo = Demo(testbed, tell)
        demo.run()
        demo_flood.show(tell)
        if keep:
            demo.restart("it is left running, and serves")
            address = demo.invite()
            demo.look(address)
            tell.remark("\n" + hints(demo, address))
            testbed.keep()


def main(argv: Sequence[str] = tuple(sys.argv[1:])) -> int:
    """The command line; returns the exit status."""
    chosen = options(argv)
    if chosen.down:
        print("The testbed is gone." if topology.take_down() else "There is no testbed.")
        return 0
    tell = Narration()
    try:
        show(tell, chosen.keep)
    except (TestbedError, subprocess.TimeoutExpired) as error:
        tell.claim("the demo can go on", False, str(error))
    except KeyboardInterrupt:
        return 130
    return tell.conclude()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
