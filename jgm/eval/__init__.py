"""Metrics, and the pictures and the report that a person looks at."""
