"""Conversations with a model on a terminal."""
