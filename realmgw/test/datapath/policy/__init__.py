"""Tests for `realmgw.datapath.policy`."""
