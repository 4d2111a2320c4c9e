"""Passwords in URLs: `postgresql://user:password@host/database`, for any scheme."""

import re

from demiurgic.curate.pii.detector import Detector, by_pattern
from demiurgic.curate.pii.draw import ALNUM, Draw, made_up
from demiurgic.curate.pii.strength import is_placeholder

URL = re.compile(
    r"://[^\s:@/\"'<>`\\]{0,64}+:(?P<value>[^\s/\"'<>`\\]{1,128})@[\w\[${<(%][^\s@/\"'<>`\\]{0,252}", re.ASCII
)
COMMON = """
pass passwd password pwd secret user username root admin postgres mysql mongo mongodb redis guest test token
mypass mypassword my_password dbpass dbpassword db_password db_pass pw p
"""
TEMPLATE = re.compile(r"\$\w+$|\$\{|[%{\[(]|\*+$|x+$|pass(?:word|wd)?$", re.IGNORECASE)


def _is_reserved(password: str) -> bool:
    """A word that stands for a password, or the name of a variable."""
    return password.lower() in COMMON.split() or TEMPLATE.match(password) is not None or is_placeholder(password)


def _surrogate(password: str, draw: Draw) -> str:
    return made_up("a" * len(password), draw, alphabet=ALNUM)


URL_PASSWORD = Detector("url_password", r"://[^\s:@/]{0,64}:[^\s/]{1,128}@", by_pattern(URL), _is_reserved, _surrogate)
