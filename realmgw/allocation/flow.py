"""A flow, as its first packet shows it."""

from __future__ import annotations

from collections.abc import Callable

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination, protocol, source port, destination port."""
Answered = Callable[[Flow], "bool | None"]
"""Whether a flow that was admitted is answered; None: that can not be told, it may have been."""
