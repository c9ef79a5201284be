"""Where a model comes from: resolve it, refuse what is unsafe, know its task, load it."""
