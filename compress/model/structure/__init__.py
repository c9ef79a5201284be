"""What a transformer is made of, found by looking at it run, and how parts of it are removed."""
