"""Near-duplicates by rensa or datasketch, in their own environment: which texts each would remove, and what it took.

    python bench/peers/near_duplicates.py rensa texts.json

Word 3-grams as the package beside them makes them (lower-cased `\\w` runs, a character of Chinese, Japanese or Korean
each), made by Python's `re`; 128 permutations, 16 bands of 8; a text goes if it shares a band with an earlier one that
stays. One line of JSON.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BY_CHARACTER = "\u3040-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{BY_CHARACTER}]|[^\W{BY_CHARACTER}]+")
PERMUTATIONS, BANDS, ROWS, SEED = 128, 16, 8, 1


def ngrams(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    if len(words) < 3:
        return [" ".join(words)] if words else []
    return list({" ".join(three) for three in zip(words, words[1:], words[2:], strict=False)})


def rensa(texts: list[str]) -> Iterator[int]:
    """Digests of all texts in one call, its fastest way in that still tells which earlier row is met."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(0.8, PERMUTATIONS, BANDS)
    sets = [ngrams(text) for text in texts]
    for place, digest in enumerate(RMinHash.from_token_sets(sets, PERMUTATIONS, SEED)):
        if not sets[place]:
            continue
        if index.query(digest):
            yield place
        else:
            index.insert(place, digest)


def datasketch(texts: list[str]) -> Iterator[int]:
    import xxhash
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.8, num_perm=PERMUTATIONS, params=(BANDS, ROWS))
    empty = MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=xxhash.xxh32_intdigest)
    for place, text in enumerate(texts):
        signature = empty.copy()
        grams = ngrams(text)
        if not grams:
            continue
        signature.update_batch([gram.encode() for gram in grams])
        if index.query(signature):
            yield place
        else:
            index.insert(place, signature, check_duplication=False)


PEERS: dict[str, Callable[[list[str]], Iterator[int]]] = {"rensa": rensa, "datasketch": datasketch}


def main() -> int:
    name, path = sys.argv[1:]
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    list(PEERS[name](texts[:100]))  # what it imports and makes once is not counted
    start, cpu = time.perf_counter(), time.process_time()
    removed = list(PEERS[name](texts))
    found = {
        "removed": removed,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
