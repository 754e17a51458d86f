"""Octets of netlink, and the values that they stand for. Pure."""
