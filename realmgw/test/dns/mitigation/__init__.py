"""Tests for `realmgw.dns.mitigation`."""
