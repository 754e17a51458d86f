"""Packets that are followed through all rules: what is switched on for that, and what the kernel tells of them.

A *match* says which packets. What one meets are its *steps*: a rule that has matched, the end of a chain. The kernel
tells of them one by one, and by the handles of rules; here they become whole packets, and rules as they are written.
"""
