"""Words that a row must hold for a careful rule to look at it. Counted in the pass that counts all else.

What no word of a list is in cannot be what the rule looks for; what one is in mostly is not either.
"""

import codecs
from collections.abc import Mapping

_DECLINES = """
    sorry, afraid, unable, cannot, can not, can t, won t, not able, not capable, not programmed, not allowed,
    not permitted, not comfortable, not going, decline, apologize, apologise, apologies, unfortunately,
    language model, as ai, am ai, artificial intelligence, t have, not have, not appropriate, not ethical, unethical,
    inappropriate, my programming, my guidelines
"""
_BOILERPLATE = """
    cookies, cookie, subscribe, newsletter, lorem ipsum, lorem, privacy policy, terms service, terms use,
    rights reserved, click here, read more, learn more, sign up, log in, skip to, back to, javascript is,
    enable javascript, page not, follow us, share this, hereby granted, licensed under, public license,
    without warranty, spdx, your name, your company, insert name, above text, home about, contact us, add to,
    related posts, leave comment, advertisement, copyright, redistribution, all rights
"""
# Slurs, turned by thirteen letters, so that the file can be read without reading them.
_SLURS = """
    avttre, avttref, avttn, avttnf, snttbg, snttbgf, xvxr, xvxrf, fcvp, fcvpf, tbbx, tbbxf, jrgonpx, jrgonpxf,
    gbjryurnq, gbjryurnqf, enturnq, enturnqf, fnaqavttre, genaavr, genaavrf, genaal, cnxv, cnxvf, qnexvr, qnexvrf,
    wvtnobb, wvtnobbf, fuvgfxva, zhqfyvzr, zhqfyvzrf, unysoerrq, fhouhzna
"""
_HATE = """
    vermin, subhuman, subhumans, inferior race, white power, heil hitler, gas jews, kill all, exterminate, lynch,
    ethnic cleansing, deserve die, should die, death to, be killed, be exterminated, go back, are animals,
    are parasites, are cockroaches, are scum, are inferior, are trash, are filth, hate all, i hate
"""


def _entries(text: str) -> tuple[str, ...]:
    return tuple(" ".join(entry.split()) for entry in text.split(",") if entry.strip())


SCREENS: Mapping[str, tuple[str, ...]] = {
    "may decline": _entries(_DECLINES),
    "may be boilerplate": _entries(_BOILERPLATE),
    "slurs": tuple(codecs.decode(word, "rot13") for word in _entries(_SLURS)),
    "may be hate": _entries(_HATE),
}
