"""`twistd realmgw`: the parts are made, and handed to each other, here.

A new service is made in `companions.py`: there it gets what it needs, hears of new settings, and has its commands.

Edge: what twistd looks for.
"""

from realmgw.tap.options import Options
from realmgw.tap.plugin import make_service

makeService = make_service  # noqa: N816 - what twistd looks for

__all__ = ["Options", "makeService", "make_service"]
