"""Tests for `realmgw.datapath.iptables`."""
