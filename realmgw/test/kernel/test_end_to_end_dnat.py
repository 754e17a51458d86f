"""The whole gateway again, with the other way to send a flow to its host: the tests are those of the map."""

from __future__ import annotations

from realmgw.config.settings import Dnat
from realmgw.test.kernel import requirements, test_end_to_end

NO_MARKDNAT = requirements.missing_for_dnat(Dnat.MARKDNAT)


class FlowByMarkdnatTests(test_end_to_end.FlowTests):
    """Flows, by the MARKDNAT target."""

    dnat = Dnat.MARKDNAT
    skip = NO_MARKDNAT


class SharedAddressByMarkdnatTests(test_end_to_end.SharedAddressTests):
    """Services at one address, by MARKDNAT."""

    dnat = Dnat.MARKDNAT
    skip = NO_MARKDNAT


class TurnByMarkdnatTests(test_end_to_end.TurnTests):
    """Hosts in turn, by MARKDNAT."""

    dnat = Dnat.MARKDNAT
    skip = NO_MARKDNAT


class LifeByMarkdnatTests(test_end_to_end.LifeTests):
    """The gateway goes and comes back, with MARKDNAT."""

    dnat = Dnat.MARKDNAT
    skip = NO_MARKDNAT
