"""Makes the pages of the documentation that code already says: see `make docs`."""
