"""One file per experiment: plain values, and the presets that change them."""
