"""Octets and values: names, messages, EDNS options and cookies. Pure."""
