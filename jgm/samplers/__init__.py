"""Samplers: pure functions of a denoiser, a score or logits, and a key."""
