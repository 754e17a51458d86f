"""Tests for `realmgw.datapath.tracing`."""
