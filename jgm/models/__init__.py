"""Networks: forward passes, without losses or optimisers."""
