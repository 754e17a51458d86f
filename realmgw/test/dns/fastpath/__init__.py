"""Tests for `realmgw.dns.fastpath`."""
