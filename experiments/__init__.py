"""One file per method, one to one with configs/. `python -m experiments` lists them."""
