"""An artifact behind HTTP. `compress package` copies this and what it needs; FastAPI is not ours to need."""
