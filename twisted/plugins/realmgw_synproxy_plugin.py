"""`twistd realmgw-synproxy`."""

from twisted.application.service import ServiceMaker

realmgw_synproxy = ServiceMaker(
    "realmgw-synproxy", "realmgw.synnode.tap", "A SYN proxy in front of Realm Gateways.", "realmgw-synproxy"
)
