"""`twistd realmgw-repository`."""

from twisted.application.service import ServiceMaker

realmgw_repository = ServiceMaker(
    "realmgw-repository", "realmgw.repository.tap", "A policy repository for Realm Gateways.", "realmgw-repository"
)
