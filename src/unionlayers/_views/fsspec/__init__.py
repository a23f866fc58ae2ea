"""An image as a filesystem of fsspec; needs the extra ``unionlayers[fsspec]``."""
