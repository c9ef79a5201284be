"""What every other package speaks in: errors, artifacts, recipes, profiles, reports. No torch."""
