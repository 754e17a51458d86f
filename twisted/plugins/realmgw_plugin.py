"""`twistd realmgw`."""

from twisted.application.service import ServiceMaker

realmgw = ServiceMaker("realmgw", "realmgw.tap", "A Realm Gateway: private hosts reachable by name.", "realmgw")
