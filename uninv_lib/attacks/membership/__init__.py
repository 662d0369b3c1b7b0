"""Whether a sample was among the forgotten ones."""

from uninv_lib.attacks.membership.difference import CONSTRUCTIONS, membership

__all__ = ["CONSTRUCTIONS", "membership"]
