"""Files of this project that are no modules, such as templates.

They are at the top of its repository, where every project that `wsdeploy init` makes has its own,
and in `wsdeploy/data` of a package that is installed.
"""

from __future__ import annotations

from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1]
"""The folder with wsdeploy, wsapp and wshost."""

_INSTALLED = Path(__file__).resolve().parent / "data"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else PACKAGES
"""The folder with `templates` and with `files`, the app that a new project begins with."""
