"""Bytes: random access to what an image is stored in, be it a file, a file object or memory."""
