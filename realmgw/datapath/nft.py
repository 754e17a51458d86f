"""A small binding of libnftables: text in, text out, nothing parsed.

In-process it takes a fraction of a millisecond where spawning the `nft` program takes several; the program is the
fall-back (`realmgw.datapath.client.NftProgram`) where the library is missing.

Edge: libnftables.
"""

from __future__ import annotations

import ctypes
from typing import Protocol

from realmgw.errors import PlatformError, RealmGatewayError

LIBRARY = "libnftables.so.1"

_REFUSED = ("Operation not permitted", "Permission denied")


class Nft(Protocol):
    """Something that runs nftables commands. Use it from one thread."""

    def run(self, commands: str, *, dry: bool = False) -> str:
        """Run commands as one transaction: all of them take effect or none does.

        Args:
            commands: In nft's language, each ended by a newline.
            dry: Let the kernel check them, and change nothing.

        Returns:
            What they print.

        Raises:
            PlatformError: The kernel does not let us.
            RealmGatewayError: nft or the kernel refused them; the text is nft's message. Nothing was changed.
        """

    def close(self) -> None:
        """Give back what is held; harmless when done twice."""


def refusal(message: str) -> RealmGatewayError:
    """The error for what nft wrote.

    Args:
        message: nft's message, of any number of lines.

    Returns:
        An error whose text is one line: nft's sentence, and the start of the command that it is about.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()] or ["nft failed and did not say why"]
    if any(reason in message for reason in _REFUSED):
        return PlatformError(f"nft: {lines[0]} (CAP_NET_ADMIN is needed: run as root or give it to the service)")
    # The program writes where the error is before it; what we gave it is in no file that one could look into.
    sentence = lines[0][max(0, lines[0].find("Error: ")) :]
    return RealmGatewayError(f"nft: {sentence}" + (f", in: {lines[1][:120]}" if len(lines) > 1 else ""))


class Libnftables(Nft):
    """libnftables in this process. Its socket belongs to the network namespace of the thread that made it.

    Raises:
        PlatformError: The library is missing, or its symbols are not what we need.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = _load(library)
        except (OSError, AttributeError) as error:
            raise PlatformError(f"{library} can not be used ({error}): install libnftables1") from error
        self._context: int | None = self._library.nft_ctx_new(0)
        if not self._context:
            raise PlatformError(f"{library}: no context could be made (no memory, or no netlink)")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str, *, dry: bool = False) -> str:
        if self._context is None:
            raise RealmGatewayError("libnftables was used after it was closed")
        self._library.nft_ctx_set_dry_run(self._context, dry)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        # Both buffers are emptied by reading them, so both are read whatever came out.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        message: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise refusal(message.decode(errors="replace"))
        return output.decode(errors="replace")

    def close(self) -> None:
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None


def _load(name: str) -> ctypes.CDLL:
    """The library with the types of what we call; a wrong type here would cut a pointer in half."""
    library = ctypes.CDLL(name)
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], ctypes.c_void_p
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [ctypes.c_void_p], None
    for buffer in (library.nft_ctx_buffer_output, library.nft_ctx_buffer_error):
        buffer.argtypes, buffer.restype = [ctypes.c_void_p], ctypes.c_int
    for text in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer):
        text.argtypes, text.restype = [ctypes.c_void_p], ctypes.c_char_p
    dry = library.nft_ctx_set_dry_run
    dry.argtypes, dry.restype = [ctypes.c_void_p, ctypes.c_bool], None
    run = library.nft_run_cmd_from_buffer
    run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_int
    return library
