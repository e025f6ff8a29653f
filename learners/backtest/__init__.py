"""Learners and policies over logs of the past, as they would have served."""
