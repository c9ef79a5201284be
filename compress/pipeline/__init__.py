"""From a model's name to a published folder: plan, try, choose, measure, gate, publish."""
