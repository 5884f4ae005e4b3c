"""Platforms: what is known of one, and how another one follows from it."""
