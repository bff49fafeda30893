"""What rules do about events: a package for each kind of action, behind `base`."""
