"""Which files of a dataset's commit hold a split: as its card says, or by the names that such files have.

Knows no network: names in, names out.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from demiurgic.core.errors import UserError, nearest
from demiurgic.core.files.readers import READERS, suffix_of

CARD = "README.md"
SHOWN = 20


def by_patterns(names: Sequence[str], patterns: Sequence[str], *, where: str) -> list[str]:
    """The files that match, in order of the patterns. Raises UserError for a pattern that matches none."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            raise UserError(f"{where}: no file matches {pattern}.{nearest(pattern, names)} {_has(names)}")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def by_split(names: Sequence[str], card: str, *, config: str | None, split: str, where: str) -> list[str]:
    """The files of a split, in order of name; `card` is the text of the dataset's README.md.

    Without a config it is the card's default, or its only one. Raises UserError naming what there is.
    """
    configs = _configs(card)
    if configs:
        return _as_the_card_says(names, configs, config=config, split=split, where=where)
    patterns = list(_usual(config, split))
    found = sorted({name for name in names if _readable(name) and any(fnmatchcase(name, p) for p in patterns)})
    one = [name for name in names if _readable(name)]
    if not found and config is None and split == "train" and len(one) == 1:
        found = one
    if not found:
        wanted = f"the split {split}" + (f" of {config}" if config else "")
        raise UserError(f"{where}: no file is plainly {wanted}. Name the files, as in files: [...]. {_has(names)}")
    return found


def _as_the_card_says(
    names: Sequence[str], configs: Mapping[str, Any], *, config: str | None, split: str, where: str
) -> list[str]:
    chosen = config or _default(configs)
    if chosen not in configs:
        asked = f"no config {config}" if config else "several configs and no default"
        raise UserError(f"{where} has {asked}. Write one of: {', '.join(f'config: {name}' for name in configs)}.")
    splits = dict(_splits(configs[chosen].get("data_files")))
    if split not in splits:
        known = ", ".join(splits) or "none"
        raise UserError(f"{where}: the config {chosen} has no split {split}; it has {known}. {_has(names)}")
    return by_patterns(names, splits[split], where=where)


def _configs(card: str) -> dict[str, Any]:
    """The configs of a card that say their files, by name, in order; the default is marked in the card."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    head, mark, _ = card.removeprefix("\ufeff").removeprefix("---\n").partition("\n---")
    if not mark or not card.lstrip("\ufeff").startswith("---"):
        return {}
    try:
        facts = YAML(typ="safe", pure=True).load(head)
    except YAMLError:
        return {}  # a card is for people: its files are told by their names then
    configs = facts.get("configs") if isinstance(facts, dict) else None
    listed = [c for c in configs or [] if isinstance(c, dict) and c.get("data_files")]
    return {str(c.get("config_name", "default")): c for c in listed}


def _default(configs: Mapping[str, Any]) -> str:
    marked = [name for name, config in configs.items() if config.get("default")]
    if marked or len(configs) == 1:
        return (marked or list(configs))[0]
    return "default"


def _splits(files: Any) -> Iterator[tuple[str, list[str]]]:
    """`data_files` as a card may write it: a pattern, patterns, or patterns by split."""
    if isinstance(files, str):
        yield "train", [files]
    elif isinstance(files, list) and all(isinstance(item, str) for item in files):
        yield "train", files
    elif isinstance(files, list):
        for item in files:
            path = item.get("path", []) if isinstance(item, dict) else []
            yield str(item.get("split", "train")), [path] if isinstance(path, str) else list(path)


def _usual(config: str | None, split: str) -> Iterator[str]:
    """Names that files of a split have on the hub."""
    folders = [f"{config}/", f"data/{config}/"] if config else ["", "data/"]
    for folder in folders:
        yield from (f"{folder}{split}.*", f"{folder}{split}-*", f"{folder}{split}_*", f"{folder}{split}/*")


def _readable(name: str) -> bool:
    return suffix_of(name) in READERS


def _has(names: Sequence[str]) -> str:
    readable = [name for name in names if _readable(name)]
    more = f" and {len(readable) - SHOWN} more" if len(readable) > SHOWN else ""
    return f"It has {', '.join(readable[:SHOWN]) or 'no file that can be read'}{more}."
