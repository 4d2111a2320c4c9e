"""Compiled loops over UTF-8 bytes: no Python object per text, no interpreter lock, compiled once and cached on disk."""
