"""The baseline in a testbed: load/baseline.c in the place of a gateway, with that gateway's own rules in the kernel.

A gateway that is killed leaves its rules as they are: they drop what nobody decides about. So the baseline comes after
a killed gateway: it binds the same packet queue, and selects hosts by the marks that the rules have for them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

from realmgw.config.settings import Admission, Datapath
from realmgw.datapath import marks
from testbed.load import generator
from testbed.realm.topology import GATEWAY, Testbed, TestbedError


def start(testbed: Testbed, hosts: Mapping[str, str], pool: str) -> subprocess.Popen[bytes]:
    """Starts the baseline where a gateway with the default settings was killed, and waits until it has the queue.

    Args:
        testbed: A testbed in which a gateway with these hosts was killed.
        hosts: Name -> private address.
        pool: The pool: `FIRST+COUNT`.

    Raises:
        TestbedError: The rules do not have exactly these hosts, or the baseline did not start.
    """
    names = generator.write_names(testbed.folder / "baseline-names", _in_order_of_marks(testbed, hosts))
    queue = Admission()
    arguments = ["--dns", GATEWAY, "--names", str(names), "--pool", pool]
    arguments += ["--queue", str(queue.queue), "--queue-length", str(queue.queue_length)]
    process = testbed.spawn("gwa", [str(generator.BUILD / "baseline"), *arguments], log="baseline.log")
    generator.wait_for_socket(testbed, "gwa", process, f"{GATEWAY}:53", log="baseline.log")  # it binds the queue before
    return process


def _in_order_of_marks(testbed: Testbed, hosts: Mapping[str, str]) -> dict[str, str]:
    """The hosts in the order of the indices in their marks, which have to be 1, 2, 3, ...: the baseline counts."""
    listed = testbed.run("gwa", ["nft", "-j", "list", "map", "inet", Datapath().table, "hosts"], timeout=60)
    elements = json.loads(listed.stdout)["nftables"][1]["map"]["elem"]
    addresses = [address for _, address in sorted(elements)]
    names = {address: name for name, address in hosts.items()}
    if sorted(mark for mark, _ in elements) != [marks.admitted(index + 1) for index in range(len(names))]:
        raise TestbedError("the rules have other hosts than the baseline shall serve")
    return {names[address]: address for address in addresses}
