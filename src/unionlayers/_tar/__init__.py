"""Tar: headers, one forward pass over entries, and the columnar record of a layer."""
