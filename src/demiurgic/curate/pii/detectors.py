"""The table of all kinds. Where two claim the same characters, the one further up has them."""

from demiurgic.curate.pii.assigned_secret import ASSIGNED_SECRET
from demiurgic.curate.pii.card import CARD
from demiurgic.curate.pii.email import EMAIL
from demiurgic.curate.pii.iban import IBAN
from demiurgic.curate.pii.ip import IPV4, IPV6
from demiurgic.curate.pii.jwt import JWT
from demiurgic.curate.pii.keys import KEYS
from demiurgic.curate.pii.phone import PHONE
from demiurgic.curate.pii.private_key import PRIVATE_KEY
from demiurgic.curate.pii.ssn import SSN
from demiurgic.curate.pii.url_password import URL_PASSWORD

SECRET_DETECTORS = (PRIVATE_KEY, JWT, *KEYS, URL_PASSWORD, ASSIGNED_SECRET)
PERSONAL_DETECTORS = (EMAIL, IBAN, CARD, SSN, IPV6, IPV4, PHONE)
DETECTORS = (*SECRET_DETECTORS, *PERSONAL_DETECTORS)

SECRETS = tuple(dict.fromkeys(detector.kind for detector in SECRET_DETECTORS))
PERSONAL = tuple(detector.kind for detector in PERSONAL_DETECTORS)
KINDS = (*SECRETS, *PERSONAL)
GROUPS = {"secrets": SECRETS, "personal": PERSONAL}
