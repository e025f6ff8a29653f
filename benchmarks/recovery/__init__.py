"""Recovery: what was lost comes back, and how long each command takes."""
