"""Structure that is taken out of a checkpoint."""
