"""Loads: programs in C, and how they are called."""
