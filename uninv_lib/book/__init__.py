"""Making the book: chapters are executed, rendered, verified."""
