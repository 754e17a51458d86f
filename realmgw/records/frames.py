"""What a gateway tells its recorder (`realmgw.daemon.frames`). Pure.

Flows that were let in are by far the most of it: they are in octets already, which nobody looks into on the way.
"""

from __future__ import annotations

import msgspec

from realmgw.records.known import Entry

CHANNEL = 3
"""Which of the recorder's files is the socket at which conntrack tells of ends."""
HOSTS, OPENED = "hosts", "opened"
"""Kinds of news, behind the first, which says what to do and who is around."""
flows = msgspec.msgpack.Decoder(list[Entry]).decode
"""What news of flows that were let in have behind the right by which names are not known: an array of MessagePack."""
