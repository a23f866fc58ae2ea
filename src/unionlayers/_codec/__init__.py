"""Codec: compressed bytes as plain bytes again, in one pass or at any offset."""
