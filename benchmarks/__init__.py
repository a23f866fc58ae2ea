"""How fast unionlayers is, against what else reads the same bytes; see `benchmarks.__main__`."""
