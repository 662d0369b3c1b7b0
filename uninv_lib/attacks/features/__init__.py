"""Feature recovery: the forgotten samples themselves."""
