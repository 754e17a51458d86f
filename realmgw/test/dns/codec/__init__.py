"""Tests for `realmgw.dns.codec`."""
