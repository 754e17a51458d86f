"""Tests for `realmgw.dns.forward`."""
