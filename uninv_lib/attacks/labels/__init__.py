"""Label inference: the forgotten labels."""
