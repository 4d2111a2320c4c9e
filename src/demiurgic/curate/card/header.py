"""The YAML header by which the Hugging Face Hub finds a dataset: licence, languages, size, files.

The form: huggingface.co/docs/hub/datasets-cards.
"""

import json
import re
from collections.abc import Mapping

HUB_LICENSES = frozenset(
    (
        *(
            "afl-3.0",
            "agpl-3.0",
            "apache-2.0",
            "artistic-2.0",
            "bsd",
            "bsd-2-clause",
            "bsd-3-clause",
            "bsl-1.0",
            "c-uda",
        ),
        *("cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
        *(
            "cc-by-nc-nd-3.0",
            "cc-by-nc-nd-4.0",
            "cc-by-nc-sa-2.0",
            "cc-by-nc-sa-3.0",
            "cc-by-nc-sa-4.0",
            "cc-by-nd-4.0",
        ),
        *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0"),
        *("ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl"),
        *("lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0", "pddl"),
        *("postgresql", "unknown", "unlicense", "wtfpl", "zlib"),
    )
)
"""The names the hub knows; any other licence is `other` there."""
ROWS = (("<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7))
MORE_ROWS = (("10M<n<100M", 10**8), ("100M<n<1B", 10**9), ("1B<n<10B", 10**10), ("10B<n<100B", 10**11))
LANGUAGE_CODE = re.compile(r"[a-z]{2,3}")


def hub_license(name: str) -> str:
    """The hub's name of a licence that SPDX calls `name`."""
    plain = name.lower()
    for ending in ("-only", "-or-later"):
        plain = plain.removesuffix(ending)
    return plain if plain in HUB_LICENSES else "other"


def size_category(num_rows: int) -> str:
    """`n<1K`, `1K<n<10K` and so on, as the hub writes them."""
    for name, limit in (*ROWS, *MORE_ROWS):
        if num_rows < limit:
            return name if name[0] != "<" else f"n{name}"
    return "100B<n<1T"


def header(
    *, num_rows: int, licenses: Mapping[str, int], languages: Mapping[str, int], unnamed: str, parts: Mapping[str, int]
) -> str:
    """The header between its two lines of dashes; `parts` are the folders of rows, by what they are called."""
    known = [name for name in licenses if name != unnamed]
    hub = sorted({hub_license(name) for name in known}) or ["unknown"]
    lines = ["---", *_listed("license", hub)]
    if "other" in hub:
        others = sorted(name for name in known if hub_license(name) == "other")
        lines.append(f"license_name: {json.dumps(', '.join(others), ensure_ascii=False)}")
    codes = [name for name in languages if LANGUAGE_CODE.fullmatch(name)]
    lines += _listed("language", codes) if codes else []
    lines += _listed("size_categories", [size_category(num_rows)])
    if parts:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        lines += [line for part in parts for line in (f"  - split: {part}", f"    path: {part}/*.parquet")]
    return "\n".join([*lines, "---"])


def _listed(key: str, values: list[str]) -> list[str]:
    # Quoted: a bare `no` is false to YAML, and Norwegian to the hub.
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)]
