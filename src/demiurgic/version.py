"""The version, in one place; it goes into ledgers and manifests, never into keys."""

__version__ = "0.1.0"
