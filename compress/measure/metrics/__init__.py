"""What accuracy is: one metric a file. Each module offers `METRIC`; the folder is the registry."""
