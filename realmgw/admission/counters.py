"""What the kernel counts about a packet queue, as it tells in `/proc/net/netfilter/nfnetlink_queue`."""

from __future__ import annotations

import attrs


@attrs.frozen
class QueueStatus:
    """One queue, as the kernel sees it at one moment."""

    owner: int
    """Netlink port of the process that listens; mostly its process id."""
    waiting: int
    """How many packets wait for their verdict, delivered to user space or not."""
    queue_dropped: int
    """How many packets were dropped since the queue had its full length; since it was bound."""
    user_dropped: int
    """How many packets were dropped since they did not fit the socket's receive buffer; since it was bound."""


def parse_status(text: str, queue: int) -> QueueStatus | None:
    """Find a queue in the kernel's table.

    Args:
        text: The whole file. Its columns are: queue number, netlink port, packets waiting, copy mode, copy range,
            dropped for the queue's length, dropped for the receiver's buffer, last packet id, 1.
        queue: The queue's number.

    Returns:
        Its line, or None if nobody has bound that queue.

    Raises:
        ValueError: The kernel writes another format than any known one.
    """
    for line in text.splitlines():
        columns = [int(column) for column in line.split()]
        if len(columns) < 7:
            raise ValueError(f"unknown format of the kernel's queue table: {line!r}")
        if columns[0] == queue:
            return QueueStatus(columns[1], columns[2], columns[5], columns[6])
    return None
