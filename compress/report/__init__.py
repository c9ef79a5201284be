"""A report as a page, as text, in a terminal. Reads the report alone."""
