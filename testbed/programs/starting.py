"""How long a gateway with many subscribers takes to start, and how much memory they take.

    python -m testbed.programs.starting [--count N] [--per-file N] [--again] [--dual]

Makes subscribers of seven names each with firewall rules, in files, and puts a gateway together with them, in a process
of its own; `--again` does so a second time, with what the first one had in force kept on the disk. With `--dual` each
has an address of IPv6 as well. The kernel is not touched. The exit status tells whether that was within the targets.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from realmgw.subscribers.tools.generate import PER_FILE, Template

MAX_SECONDS = 10.0
"""The target for the time from the first import to a gateway that is ready to start its services."""
MAX_MEMORY = 8.0  # kB
"""The target for the memory that a subscriber takes, in the whole process."""

MAIN = """
name: gw.example.org
zones: {example.org: {name_servers: {ns.example.org: 192.0.2.1}, contact: admin.example.org}}
interfaces: {wan: wan0, lan: [lan0]}
pools: {circular: [{addresses: 198.51.100.0/24, attachment: routed}], service: [192.0.2.1]}
dns: {wan: {listen: [192.0.2.1]}}
drop_ins: [.]
state: state
"""
TEMPLATE = """
REPLACE_UENAME6.example.org.:
    ID:
        FQDN:   ['REPLACE_UENAME6.example.org.']
        IPV4:   ['REPLACE_IPV4_10.0.0.0']
        MSISDN: ['358145REPLACE_SEQ6']
    GROUP:
        - IPS_GROUP_PREPAID3
    CIRCULARPOOL:
        - {max: 3 }
    SFQDN:
        - {fqdn:      'REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false }
        - {fqdn:  'www.REPLACE_UENAME6.example.org.', proxy_required: true,  carriergrade: false }
        - {fqdn: 'icmp.REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false, protocol: 1,   port: 0 }
        - {fqdn:  'tcp.REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false, protocol: 6,   port: 0 }
        - {fqdn:  'udp.REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false, protocol: 17,  port: 0 }
        - {fqdn: 'sctp.REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false, protocol: 132, port: 0 }
        - {fqdn:  'ssh.REPLACE_UENAME6.example.org.', proxy_required: false, carriergrade: false, protocol: 6,   port: 22 }
    FIREWALL:
        FIREWALL_ADMIN:
            - {priority: 0, direction: EGRESS, protocol: 17, udp: {dport: 53}, target: REJECT, hashlimit: {hashlimit-above: 5/sec, hashlimit-burst: 50, hashlimit-name: DnsLanHosts, hashlimit-mode: srcip}}
        FIREWALL_USER:
            - {priority: 100, direction: EGRESS,  target: ACCEPT, comment: {comment: Allow outgoing}}
            - {priority: 100, direction: INGRESS, target: ACCEPT, comment: {comment: Allow incoming}}
"""  # noqa: E501 - as such templates are written


IPV4 = "        IPV4:   ['REPLACE_IPV4_10.0.0.0']\n"
DUAL = TEMPLATE.replace(IPV4, f"{IPV4}        IPV6:   ['REPLACE_IPV6_fd00::1:0']\n")
"""The same with an address of IPv6."""


def make(folder: Path, count: int, per_file: int = PER_FILE, text: str = TEMPLATE) -> Path:
    """Writes a gateway's files; returns the main one."""
    template = Template(text, "template")
    subscribers = folder / "subscribers.d"
    subscribers.mkdir()
    for begin in range(1, count + 1, per_file):
        numbers = range(begin, min(begin + per_file, count + 1))
        (subscribers / f"{begin:07}.yaml").write_text("".join(map(template.render, numbers)))
    main = folder / "realmgw.yaml"
    main.write_text(MAIN)
    return main


def resident() -> int:
    """The memory of this process that is in the machine's, in kB."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def measure(main: Path) -> None:
    """Puts a gateway together; prints the seconds, the kB that it takes, and how many subscribers it has."""
    begin = time.perf_counter()
    from realmgw import config, tap  # noqa: PLC0415 - the time that this takes counts
    from realmgw.subscribers.service import in_force  # noqa: PLC0415 - likewise
    from realmgw.tap import composition, kept, plugin  # noqa: PLC0415 - likewise

    before = resident()
    settings = config.load(main)
    running = plugin.read(main, settings)
    composition.compose(running, tap.Options())
    seconds = time.perf_counter() - begin
    gc.collect()
    print(seconds, resident() - before, len(running.registry.directory.hosts))
    kept.last_good_of(main, settings).keep(in_force(running.registry.units))


def figures(main: Path) -> tuple[float, float]:
    """Seconds and kB for each subscriber, from a process of its own."""
    command = [sys.executable, "-m", "testbed.programs.starting", "--measure", str(main)]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(words[0]), float(words[1]) / int(words[2])


def run() -> int:
    """Runs a command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed.programs.starting", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many subscribers [%(default)s]")
    parser.add_argument("--per-file", type=int, default=PER_FILE, help="how many in a file [%(default)s]")
    parser.add_argument("--again", action="store_true", help="start a second time, on the same state")
    parser.add_argument("--dual", action="store_true", help="subscribers have an address of IPv6 as well")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        main = make(Path(folder), options.count, options.per_file, DUAL if options.dual else TEMPLATE)
        is_good = True
        for what in ("start", "start again")[: 1 + options.again]:
            seconds, memory = figures(main)
            print(f"{what}: {seconds:.1f} s, {memory:.1f} kB for each of {options.count} subscribers")
            is_good &= seconds < MAX_SECONDS and memory < MAX_MEMORY
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(run())
