"""What the tests of the builders share."""

from unionlayers.testing.fixtures import image_builder, image_form, layer_storage

__all__ = ["image_builder", "image_form", "layer_storage"]
