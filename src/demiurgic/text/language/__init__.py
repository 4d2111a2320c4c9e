"""Which language a text is in, code as one of them. Knows texts; what to do with a language is for others."""

from demiurgic.text.language.identify import CODE, Languages, languages_of

__all__ = ["CODE", "Languages", "languages_of"]
