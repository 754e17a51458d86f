"""The second allocation: where addresses are not scarce, each claim has one of its own that nobody had before.

A *fresh* address is drawn by chance from the pool's IPv6 prefixes, for one target and one asker. It never has another
host, so nothing is shared, waited for or handed on, and nobody is delivered to the wrong one. A *pinhole* is the public
address of a host itself, opened for those who are expected.
"""
