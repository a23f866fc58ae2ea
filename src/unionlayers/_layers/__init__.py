"""Layers: changesets, profiles, findings, and the union of a stack."""
