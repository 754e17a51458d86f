"""Netlink: its sockets, its octets, and the values that these stand for."""
