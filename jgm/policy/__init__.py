"""What experiments that learn from rewards and preferences have in common."""
