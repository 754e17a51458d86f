"""Subscribers as text: made in batch, taken over from elsewhere, and written back."""
