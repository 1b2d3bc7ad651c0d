"""jgm's Sinkhorn solver beside ott-jax, POT and geomloss on the same points."""
