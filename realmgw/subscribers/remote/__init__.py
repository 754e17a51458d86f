"""Subscribers in a repository elsewhere: what it says, what was said last, and what of it a gateway can use."""
