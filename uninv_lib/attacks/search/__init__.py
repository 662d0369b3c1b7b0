"""The search behind feature recovery: targets, costs, descent."""
