"""Adapters into their base."""
