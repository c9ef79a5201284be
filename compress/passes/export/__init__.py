"""From a checkpoint to what a runtime loads."""
