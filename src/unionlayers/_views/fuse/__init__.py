"""An image as a directory of the host, by FUSE."""
