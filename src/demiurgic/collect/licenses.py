"""Names the licence of a folder from the licence file at its root, by the SPDX identifier. Knows nothing of rows.

Only well-known texts are recognised, and only when exactly one is found: a guessed licence is worse than a question.
"""

import re
from collections.abc import Mapping
from pathlib import Path

FILE_NAMES = re.compile(r"(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$")

SENTENCES: Mapping[str, str] = {
    "MIT": "permission is hereby granted, free of charge, to any person obtaining a copy of this software",
    "ISC": "with or without fee is hereby granted, provided that the above copyright notice",
    "BSD": "redistribution and use in source and binary forms, with or without modification, are permitted provided",
    "Apache-2.0": "apache license version 2.0, january 2004",
    "MPL-2.0": "mozilla public license version 2.0",
    "Unlicense": "this is free and unencumbered software released into the public domain",
    "PSF-2.0": "python software foundation license version 2 -",
    "AGPL-3.0-only": "gnu affero general public license version 3, 19 november 2007",
    "LGPL-3.0-only": "gnu lesser general public license version 3, 29 june 2007",
    "LGPL-2.1-only": "gnu lesser general public license version 2.1, february 1999",
    "GPL-3.0-only": "gnu general public license version 3, 29 june 2007",
    "GPL-2.0-only": "gnu general public license version 2, june 1991",
}
"""A sentence each text holds and no other does, in lower case and single spaces.

The GNU texts do not say whether a later version may be chosen; `-only` is what they grant for certain.
"""

ADVERTISING = "all advertising materials mentioning features or use of this software"
"""What the first BSD licence wants beside the three clauses of the later one."""


def detect_license(folder: Path) -> str | None:
    """The SPDX identifier of the one known licence at the root of `folder`; None when there is none, or several."""
    files = [path for path in folder.iterdir() if path.is_file() and FILE_NAMES.match(path.name)]
    found = {name for path in files for name in _licenses_in(path.read_text(encoding="utf-8", errors="replace"))}
    return found.pop() if len(found) == 1 else None


def _licenses_in(text: str) -> set[str]:
    plain = re.sub(r"\s+", " ", text).lower()
    found = {name for name, sentence in SENTENCES.items() if sentence in plain}
    if "BSD" in found:
        third_clause = "endorse or promote products derived from" in plain
        number = 4 if ADVERTISING in plain else 3 if third_clause else 2
        found = found - {"BSD"} | {f"BSD-{number}-Clause"}
    return found
