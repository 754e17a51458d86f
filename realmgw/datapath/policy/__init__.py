"""Subscribers' firewall rules in the kernel.

Hosts of which the same rules are said are a *class*: its rules stand once, in a chain for each direction, and a host
is led there by an element of a map, by its address. So a packet costs the same with three hosts and with a hundred
thousand, and a host that comes or goes costs its elements.
"""
