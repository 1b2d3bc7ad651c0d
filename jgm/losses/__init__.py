"""Losses: array mathematics, without networks, parameters or state.

Each is imported from its file, or the file as a whole where a config names the loss.
"""
