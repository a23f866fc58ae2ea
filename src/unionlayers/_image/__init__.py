"""Image: documents, sources, selection, and the image with its layers."""
