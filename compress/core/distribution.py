"""The name under which the tool is published, which is not the name that it is imported and called by.

`compress` on the Python Package Index is another project.
"""

DISTRIBUTION = "compress-models"


def install_extra(extra: str) -> str:
    """Return the command that installs an optional group of packages, for hints."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
