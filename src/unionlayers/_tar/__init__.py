"""Tar: headers as entries in one forward pass, sparse maps, and the columnar record of a layer."""
