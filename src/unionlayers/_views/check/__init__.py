"""What is demanded of an image, and the plugin that brings it to pytest."""
