"""Tests for `realmgw.datapath.pipeline`."""
