"""Tests of `realmgw.allocation.ipv6`."""
