"""Does a text look drawn at random, as keys are, or written by a person? Knows nothing of vendors."""

import re
from collections import Counter
from math import log2

from demiurgic.curate.pii.draw import is_marked

PLACEHOLDER = re.compile(
    r"your|placeholder|dummy|change_?me|insert|replace|sample|redacted|not_?a_?real|fake|goes_?here|todo"
    r"|x{4}|0{6}|1{6}|\*{3}|\.{3}|12345678|abcdefg|\$\{|\{\{|<|%s|%\(",
    re.IGNORECASE,
)
WORDS = re.compile(r"[A-Z]?[a-z]{4,}|[A-Z]{5,}")


def entropy(text: str) -> float:
    """Bits per character (Shannon), from the characters of the text itself."""
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts) if text else 0.0


def is_placeholder(text: str) -> bool:
    """Written to be replaced (`your-key`, `xxxx`, `12345678`), or a surrogate of ours."""
    return is_marked(text) or PLACEHOLDER.search(text) is not None


def is_worded(text: str) -> bool:
    """Made of words: most of it stands in runs of letters as words have them."""
    parts = [part for part in re.split(r"[_\-./]+", text) if part]
    if all(
        (part.isalpha() and (part.islower() or part.isupper() or part.istitle())) or part.isdigit() for part in parts
    ):
        return len(parts) > 1 or text.isalpha()
    return sum(map(len, WORDS.findall(text))) > 0.7 * len(text)


def is_random(text: str) -> bool:
    """At least 16 characters with letters and digits, 3 bits a character or more, and no words."""
    digits = sum(character.isdigit() for character in text)
    letters = sum(character.isalpha() for character in text)
    return len(text) >= 16 and digits >= 2 and letters >= 4 and entropy(text) >= 3.0 and not is_worded(text)
