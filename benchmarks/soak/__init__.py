"""The soak: every process of a project for an hour, and what they take."""
