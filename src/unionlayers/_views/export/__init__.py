"""A view written to the host: as a tar, or as a folder."""
