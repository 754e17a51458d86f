"""Tests for `realmgw.datapath.machine`."""
