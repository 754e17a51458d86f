"""Filters for sockets, in the kernel's classic instructions: what does not get through wakes nobody up. Pure."""

from __future__ import annotations

import struct

Instruction = tuple[int, int, int, int]
"""Code, how many instructions to skip if it is true, if it is not, and a number."""

# linux/filter.h, linux/bpf_common.h
LOAD_WORD, LOAD_HALF, LOAD_OCTET, LOAD_NUMBER, LOAD_WORD_BEYOND = 0x20, 0x28, 0x30, 0x00, 0x40
INDEX_NUMBER, INDEX_LOADED = 0x01, 0x07
AND, IF_EQUAL, IF_ANY, RETURN = 0x54, 0x15, 0x45, 0x06
FIND_ATTRIBUTE = 0x1_0000_0000 - 0x1000 + 12
"""Loading the word at this place finds the netlink attribute whose type is in the index, from the loaded offset on."""
WHOLE, NOTHING = (RETURN, 0, 0, 0xFFFF_FFFF), (RETURN, 0, 0, 0)
"""Deliver the message; do not."""

_INSTRUCTION = struct.Struct("=HBBI")


def program(*instructions: Instruction) -> bytes:
    """Instructions as the kernel takes them."""
    return b"".join(_INSTRUCTION.pack(*each) for each in instructions)
