"""Losses: array mathematics, without networks, parameters or state."""
