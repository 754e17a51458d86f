"""Addresses: which there are, in which state, and which is to be had next."""
