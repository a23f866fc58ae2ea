"""Views: what people and other libraries touch; none of them imports another."""
