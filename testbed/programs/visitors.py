"""Clients who come and come again, so that there is something to see: for an hour, or as long as is said.

python -m testbed.programs.visitors NAME=ADDRESS... [--rate N] [--seconds N]
"""

from __future__ import annotations

import argparse
import asyncio

from testbed.player import visits

RATE, LONG = 3.0, 3600.0
"""So many come a second, for so many seconds."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", nargs="+", help="a name, and the address of its host: test.gwa.demo=192.168.0.100")
    parser.add_argument("--rate", type=float, default=RATE, help="so many a second")
    parser.add_argument("--seconds", type=float, default=LONG, help="for so long")
    said = parser.parse_args()
    hosts = dict(each.split("=", 1) for each in said.host)
    rounds = int(said.seconds * said.rate / len(hosts)) or 1
    for _ in range(rounds):
        asyncio.run(visits.visit_many(hosts, len(hosts), said.rate, lambda _: None))


if __name__ == "__main__":
    main()
