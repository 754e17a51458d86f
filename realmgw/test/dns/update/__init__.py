"""The tests of the room `realmgw.dns.update`."""
