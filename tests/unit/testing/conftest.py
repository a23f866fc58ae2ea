"""What the tests of the builders share."""

from unionlayers.testing.fixtures import image_builder, image_form

__all__ = ["image_builder", "image_form"]
