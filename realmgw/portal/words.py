"""What the page says, in the languages that it speaks, and which of them somebody reads (RFC 9110 section 12.5.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

MOST_RANGES = 32
"""So many languages of somebody are looked at."""
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")


@attrs.frozen
class Words:
    """What the page says in one language."""

    guest: str
    """To guests, in a few words."""
    why: str
    """Why they see it."""
    link: str
    """What the operator's link is for."""
    address: str
    """Of the device."""
    network: str
    """Whose page it is."""
    again: str
    """To look anew."""
    connected: str
    """To subscribers, in a few words."""
    all_is_well: str
    """And what that means."""


WORDS: Mapping[str, Words] = {
    "en": Words(
        "Not registered yet",
        "This device is not registered in this network, so it has no access to the Internet yet.",
        "Get access",
        "Address of this device",
        "Network",
        "Try again",
        "You are connected",
        "This device is registered and has access to the Internet.",
    ),
    "de": Words(
        "Noch nicht angemeldet",
        "Dieses Gerät ist in diesem Netz nicht angemeldet und hat deshalb noch keinen Zugang zum Internet.",
        "Zugang erhalten",
        "Adresse dieses Geräts",
        "Netz",
        "Erneut versuchen",
        "Sie sind verbunden",
        "Dieses Gerät ist angemeldet und hat Zugang zum Internet.",
    ),
    "fr": Words(
        "Appareil non enregistré",
        "Cet appareil n\u2019est pas enregistré sur ce réseau\u202f; il n\u2019a donc pas encore accès à Internet.",
        "Obtenir l\u2019accès",
        "Adresse de cet appareil",
        "Réseau",
        "Réessayer",
        "Vous êtes connecté",
        "Cet appareil est enregistré et a accès à Internet.",
    ),
    "fi": Words(
        "Ei vielä rekisteröity",
        "Tätä laitetta ei ole rekisteröity tähän verkkoon, joten se ei vielä pääse internetiin.",
        "Hanki pääsy",
        "Tämän laitteen osoite",
        "Verkko",
        "Yritä uudelleen",
        "Yhteys on valmis",
        "Tämä laite on rekisteröity, ja se pääsee internetiin.",
    ),
    "sv": Words(
        "Inte registrerad än",
        "Den här enheten är inte registrerad i det här nätverket och har därför ingen åtkomst till internet än.",
        "Skaffa åtkomst",
        "Den här enhetens adress",
        "Nätverk",
        "Försök igen",
        "Du är ansluten",
        "Den här enheten är registrerad och har åtkomst till internet.",
    ),
    "es": Words(
        "Dispositivo no registrado",
        "Este dispositivo no está registrado en esta red, por lo que todavía no tiene acceso a Internet.",
        "Obtener acceso",
        "Dirección de este dispositivo",
        "Red",
        "Volver a intentarlo",
        "Ya hay conexión",
        "Este dispositivo está registrado y tiene acceso a Internet.",
    ),
    "it": Words(
        "Dispositivo non registrato",
        "Questo dispositivo non è registrato in questa rete e quindi non ha ancora accesso a Internet.",
        "Ottieni l\u2019accesso",
        "Indirizzo di questo dispositivo",
        "Rete",
        "Riprova",
        "Connessione attiva",
        "Questo dispositivo è registrato e ha accesso a Internet.",
    ),
}
"""By language; `realmgw.config.portal.Language` has the same ones. The first is for who reads none of them."""
USUAL = next(iter(WORDS))
"""Its tag."""


def language(accepted: str) -> str:
    """The language that somebody reads best, of those that there are.

    Args:
        accepted: His Accept-Language; may be anything.

    Returns:
        Its tag.
    """
    best, weight = USUAL, 0.0
    for each in accepted.split(",", MOST_RANGES)[:MOST_RANGES]:
        match = _RANGE.fullmatch(each)
        tag, quality = (match[1].lower(), float(match[2] or 1)) if match else ("", 0.0)
        if tag in WORDS and quality > weight:
            best, weight = tag, quality
    return best
