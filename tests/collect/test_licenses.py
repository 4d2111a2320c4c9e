"""A licence is named when its text is one of the well-known, and only then."""

import pytest

from demiurgic.collect.licenses import detect_license

MIT = (
    "MIT License\n\nPermission is hereby granted, free of\ncharge, to any person obtaining a copy of this software and"
)
BSD = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that"
APACHE = "                                 Apache License\n                           Version 2.0, January 2004\n"
GPL = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"


@pytest.mark.parametrize(
    ("name", "text", "spdx"),
    [
        ("LICENSE", MIT, "MIT"),
        ("LICENSE.txt", BSD, "BSD-2-Clause"),
        ("LICENSE", BSD + " ... All advertising materials mentioning features or use of this software", "BSD-4-Clause"),
        ("licence.md", BSD + " ... to endorse or promote products derived from", "BSD-3-Clause"),
        ("LICENSE", APACHE, "Apache-2.0"),
        ("COPYING", GPL, "GPL-3.0-only"),
    ],
)
def test_a_well_known_text_has_its_spdx_name(tmp_path, name, text, spdx):
    (tmp_path / name).write_text(text)
    assert detect_license(tmp_path) == spdx


def test_two_licences_are_no_answer(tmp_path):
    (tmp_path / "LICENSE-MIT").write_text(MIT)
    (tmp_path / "LICENSE-APACHE").write_text(APACHE)
    assert detect_license(tmp_path) is None


def test_an_unknown_text_is_no_answer(tmp_path):
    (tmp_path / "LICENSE").write_text("Do as you please.")
    assert detect_license(tmp_path) is None


def test_a_folder_without_a_licence_file_has_none(tmp_path):
    (tmp_path / "README").write_text(MIT)
    assert detect_license(tmp_path) is None
