"""Tests for `realmgw.control.command`."""
