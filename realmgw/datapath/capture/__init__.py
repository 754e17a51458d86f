"""Packets as interfaces have them, for a file that people open with other programs.

What is captured is read in a process of its own, never in the gateway's.
"""
