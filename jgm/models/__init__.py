"""Networks: forward passes, without losses or optimisers.

Each is imported from its file; a network of one experiment then loads no other.
"""
