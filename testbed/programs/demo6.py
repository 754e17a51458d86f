"""The demo's steps with IPv6: an address of its own for each flow, guessed ones, both families at once, outwards."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from ipaddress import IPv6Address, IPv6Network

from testbed.programs.commands import Download, dig, inside, python_client
from testbed.programs.narration import Narration
from testbed.realm import ipv6
from testbed.realm.topology import Testbed

SETTINGS = {
    "ipv6": {"outbound": [{"lan": "lan0", "leave": "nptv6", "inside": ipv6.LAN, "outside": ipv6.OUTSIDE}]},
}
"""What the demo's gateway is told of IPv6 besides its pool."""
POOL, OUTSIDE = IPv6Network(ipv6.ROUTED), IPv6Network(ipv6.OUTSIDE)
PORT = 80
"""Of the page that says who asks."""


class DualStack:
    """The steps, in a testbed whose gateway runs."""

    def __init__(self, testbed: Testbed, tell: Narration, name: str) -> None:
        """Does nothing yet.

        Args:
            testbed: Where.
            tell: Where to say it.
            name: The first host's.
        """
        self.testbed = testbed
        self.tell = tell
        self.name = name
        self.host = testbed.hosts6[0]
        self.download = Download(testbed, tell, self.host, "the download by IPv6")

    def run(self) -> None:
        """All but the downloads."""
        self.resolve()
        self.open_flows()
        self.refuse_guesses()
        self.come_by_either()
        self.go_out()

    def resolve(self) -> None:
        """AAAA, from outside and from inside."""
        self.tell.step(f"A public client asks for the IPv6 address of {self.name}")
        fields = dig(self.tell, "public", ipv6.GATEWAY, self.name, "AAAA").split()
        self.tell.claim("the answer is an address of the IPv6 pool, drawn by chance", in_pool(fields[-1:], POOL))
        self.tell.claim("with a TTL of 0", fields[1:2] == ["0"])
        private = dig(self.tell, "test_gwa", ipv6.GATEWAY_LAN, self.name, "AAAA").split()
        self.tell.claim("inside, the same name has its private address", private[-1:] == [self.host])

    def open_flows(self) -> None:
        """TCP, UDP and ICMPv6, each to an address that nobody had before."""
        self.tell.step("It opens TCP, UDP and ICMPv6, each to an address that nobody had before")
        asked = [self.ask()]
        page = self.tell.type(*inside("public"), "curl", "--silent", "--max-time", "2", f"http://[{asked[0]}]/")
        self.tell.claim("TCP: an HTTP page of the private host", self.host in page.stdout)
        asked.append(self.ask())
        burst = self.tell.type(*python_client("udp", asked[1], "2000", "--burst", "3"))
        self.tell.claim("UDP: three datagrams back to back, three echoes", burst.stdout.count(self.host) == 3)
        asked.append(self.ask())
        who = self.tell.type(*python_client("icmp", asked[2]))
        self.tell.claim("ICMPv6: an echo, and of the private host", self.host in who.stdout)
        self.tell.claim("no address was given twice", len(set(asked)) == len(asked), ", ".join(asked))

    def refuse_guesses(self) -> None:
        """Strays at guessed addresses, right beside a claim."""
        self.tell.step("Who guesses an address of the /64 is refused, even beside one that is waited for")
        guess = str(IPv6Address(self.ask()) + 1)
        for protocol, how in (("tcp", "TCP RST"), ("udp", "ICMPv6 port unreachable")):
            seen = self.tell.type(*python_client(protocol, guess, "2000"))
            self.tell.claim(f"{protocol.upper()} is refused by {how}", "[Errno 111]" in seen.stdout)
        seen = self.tell.type(*python_client("icmp", guess))
        self.tell.claim("ICMP is refused by ICMPv6 administratively prohibited", "[Errno 13]" in seen.stdout)

    def come_by_either(self) -> None:
        """A client asks for both families, and takes IPv6 by itself."""
        self.tell.step("curl asks for both families and comes by IPv6 (happy eyeballs); IPv4 is there as well")
        for option, family in (("", 6), ("-4", 4)):
            told = "--write-out", "at %{remote_ip}\\n"
            words = [*inside("public"), "curl", *filter(None, [option]), "--silent", "--max-time", "2", *told]
            page = self.tell.type(*words, f"http://{self.name}/").stdout
            expected = self.host if family == 6 else self.testbed.hosts[0]
            address = page.rpartition("at ")[2].strip()
            right = f"This is {expected}." in page and (":" in address) == (family == 6)
            self.tell.claim(f"it reached the host by IPv{family}", right, f"at {address}")

    def go_out(self) -> None:
        """A private host's own flow leaves with the public prefix in place of its own."""
        self.tell.step("A private host goes out by IPv6: its prefix is translated (NPTv6), and nothing is remembered")
        argv = [sys.executable, "-m", "testbed.realm.host", ipv6.CLIENT]
        server = self.testbed.spawn("public", argv, log="public.log", stdout=subprocess.PIPE)
        assert server.stdout is not None
        with server.stdout as told:
            told.readline()
        try:
            url = f"http://[{ipv6.CLIENT}]:{PORT}/peer"
            words = ["curl", "--silent", "--max-time", "2", "--interface", self.host, url]
            page = self.tell.type(*inside("test_gwa"), *words).stdout
        finally:
            server.kill()
            server.wait()
        seen = page.removeprefix("You are ").strip(".\n")
        self.tell.claim(f"outside it is seen in {OUTSIDE}", in_pool([seen], OUTSIDE), f"{self.host} is {seen}")

    def find_closed(self) -> None:
        """Without a gateway, no new flow passes."""
        guess = str(POOL[0x1234])
        argv = [*inside("public"), "curl", "--silent", "--max-time", "0.5", f"http://[{guess}]/"]
        self.tell.claim("no new flow passes by IPv6", self.tell.type(*argv).returncode != 0)

    def ask(self) -> str:
        """Asks for the name's AAAA as `dig +short` does, which is shown, and returns the address."""
        answer = self.tell.type(*inside("public"), "dig", "+short", f"@{ipv6.GATEWAY}", self.name, "AAAA")
        return answer.stdout.strip()


def in_pool(addresses: list[str], pool: IPv6Network) -> bool:
    """Whether there is one address, and that in a prefix.

    Args:
        addresses: As told.
        pool: The prefix.
    """
    with contextlib.suppress(ValueError):
        return [IPv6Address(each) in pool for each in addresses] == [True]
    return False
