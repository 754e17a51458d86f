"""Tests for `realmgw.datapath.neighbours`."""
