"""Tests for `realmgw.datapath.watch`."""
