"""Figures: how they are taken, compared, drawn, and written down."""
