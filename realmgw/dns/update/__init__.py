"""Dynamic updates (RFC 2136): messages, signatures, what they may change, and what becomes of them."""
