"""Arrays in, arrays out: grids, packing, calibration. No models, no files."""
