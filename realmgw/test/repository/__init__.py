"""Tests for `realmgw.repository`."""
