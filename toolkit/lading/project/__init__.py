"""Projects: folders with a ``lading.toml`` that says what an app is made of."""

from lading.project.init import Initialized, ModelSource, init_project
from lading.project.load import PROJECT_FILE, Project, load_project

__all__ = ["PROJECT_FILE", "Initialized", "ModelSource", "Project", "init_project", "load_project"]
